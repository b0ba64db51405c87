package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/cijepa/cijepa/job/settings"
)

// manifest is what these tests read of base/job.yaml.
type manifest struct {
	Spec struct {
		BackoffLimit     int `yaml:"backoffLimit"`
		PodFailurePolicy struct {
			Rules []failureRule
		} `yaml:"podFailurePolicy"`
		Template struct {
			Spec struct {
				Grace      int `yaml:"terminationGracePeriodSeconds"`
				Containers []struct {
					Name  string
					Env   []variable
					Ports []struct {
						Port int `yaml:"containerPort"`
					}
					LivenessProbe struct {
						Exec    struct{ Command []string }
						Timeout int `yaml:"timeoutSeconds"`
					} `yaml:"livenessProbe"`
					Resources struct {
						Limits map[string]string
					}
				}
				Volumes []struct {
					Name     string
					EmptyDir struct {
						SizeLimit string `yaml:"sizeLimit"`
					} `yaml:"emptyDir"`
				}
			}
		}
	}
}

type failureRule struct {
	Action      string
	OnExitCodes *struct {
		Container string `yaml:"containerName"`
		Operator  string
		Values    []int
	} `yaml:"onExitCodes"`
	OnPodConditions []struct{ Type, Status string } `yaml:"onPodConditions"`
}

type variable struct{ Name, Value string }

// customization is what they read of a kustomization.yaml.
type customization struct {
	ConfigMapGenerator []struct{ Literals []string } `yaml:"configMapGenerator"`
	Components         []string
	Patches            []struct{ Patch string }
}

// setting is the value of a variable in its ConfigMap.
func (c customization) setting(name string) string {
	for _, g := range c.ConfigMapGenerator {
		for _, l := range g.Literals {
			if v, ok := strings.CutPrefix(l, name+"="); ok {
				return v
			}
		}
	}
	return ""
}

// operation is one line of a JSON patch.
type operation struct {
	Path  string
	Value yaml.Node
}

// readYAML reads a file of k8s/.
func readYAML(t *testing.T, name string, to any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../k8s", name))
	if err == nil {
		err = yaml.Unmarshal(text, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// operations are all lines of an overlay's patches.
func operations(t *testing.T, overlay string) (all []operation) {
	t.Helper()
	var c customization
	readYAML(t, overlay+"/kustomization.yaml", &c)
	for _, p := range c.Patches {
		var lines []operation
		if err := yaml.Unmarshal([]byte(p.Patch), &lines); err != nil {
			t.Fatalf("%s: %v", overlay, err)
		}
		all = append(all, lines...)
	}
	return all
}

// set reads into to what an overlay's patch sets at a path, if it does.
func set(t *testing.T, overlay, path string, to any) bool {
	t.Helper()
	for _, o := range operations(t, overlay) {
		if o.Path == path {
			if err := o.Value.Decode(to); err != nil {
				t.Fatalf("%s: %s: %v", overlay, path, err)
			}
			return true
		}
	}
	return false
}

// TestFailurePolicyIsTheExitCodes: what the cluster does after an exit is what exit.go says, and in
// the order that counts.
func TestFailurePolicyIsTheExitCodes(t *testing.T) {
	var m manifest
	readYAML(t, "base/job.yaml", &m)
	rules := m.Spec.PodFailurePolicy.Rules
	if len(rules) != 3 {
		t.Fatalf("%d rules, want 3", len(rules))
	}
	container := m.Spec.Template.Spec.Containers[0].Name
	codes := func(i int, action string, want ...int) {
		r := rules[i]
		if r.Action != action || r.OnExitCodes == nil || !slices.Equal(r.OnExitCodes.Values, want) || r.OnExitCodes.Operator != "In" || r.OnExitCodes.Container != container {
			t.Errorf("rule %d is %+v, want %s on %v of %s", i, r, action, want, container)
		}
	}
	codes(0, "FailJob", exitSettings, exitData)
	if r := rules[1]; r.Action != "Ignore" || r.OnExitCodes != nil || len(r.OnPodConditions) != 1 || r.OnPodConditions[0].Type != "DisruptionTarget" {
		t.Errorf("rule 1 is %+v, want Ignore on DisruptionTarget", r)
	}
	codes(2, "Ignore", exitStopped)

	// An Indexed Job fails a line, not itself, and each line has the tries of a single run: with
	// waits of 10 s, doubled up to 10 minutes, 13 pods last long enough for a cloud to repair a
	// machine.
	var action string
	var limit int
	if !set(t, "sweep", "/spec/podFailurePolicy/rules/0/action", &action) || action != "FailIndex" {
		t.Errorf("sweep: the action of rule 0 is %q, want FailIndex", action)
	}
	if !set(t, "sweep", "/spec/backoffLimitPerIndex", &limit) || limit != m.Spec.BackoffLimit || limit != 12 {
		t.Errorf("sweep: %d tries a line, a single run has %d; want 12", limit, m.Spec.BackoffLimit)
	}
}

// TestSweepHasAnIndexForEveryLine of the file that it mounts.
func TestSweepHasAnIndexForEveryLine(t *testing.T) {
	t.Setenv("CIJEPA_BUCKET", "mem://")
	lines, err := settings.LoadSweep("../../k8s/sweep/rows", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	var completions, parallelism int
	if !set(t, "sweep", "/spec/completions", &completions) || completions != len(lines) {
		t.Errorf("%d completions, %d lines", completions, len(lines))
	}
	// Kueue's webhook wants the least parallelism to be less than parallelism.
	var annotations map[string]string
	if !set(t, "sweep", "/spec/parallelism", &parallelism) || !set(t, "sweep", "/metadata/annotations", &annotations) ||
		annotations["kueue.x-k8s.io/job-min-parallelism"] != "1" || parallelism < 2 {
		t.Errorf("parallelism %d, annotations %v", parallelism, annotations)
	}
	var env variable
	var mount struct {
		MountPath string `yaml:"mountPath"`
	}
	if !set(t, "sweep", "/spec/template/spec/containers/0/env/-", &env) || !set(t, "sweep", "/spec/template/spec/containers/0/volumeMounts/-", &mount) ||
		env != (variable{"CIJEPA_SWEEP", mount.MountPath + "/rows"}) {
		t.Errorf("the sweep sets %+v and mounts %s", env, mount.MountPath)
	}
}

// TestGraceIsWhatTheCloudGives, in whole seconds, as the component grace cuts it; and only one
// place says it.
func TestGraceIsWhatTheCloudGives(t *testing.T) {
	for overlay, most := range map[string]time.Duration{"base": 30 * time.Second, "gke-spot": 15 * time.Second, "eks-spot": 100 * time.Second, "aks-spot": 20 * time.Second} {
		var c customization
		readYAML(t, overlay+"/kustomization.yaml", &c)
		value := c.setting("CIJEPA_STOP_GRACE")
		grace, err := time.ParseDuration(value)
		if err != nil || grace > most || value != fmt.Sprintf("%ds", int(grace.Seconds())) || !slices.Contains(c.Components, "../grace") {
			t.Errorf("%s: CIJEPA_STOP_GRACE=%s, of which a pod gets %v at most (%v); components %v", overlay, value, most, err, c.Components)
		}
		if overlay != "base" {
			var seconds int
			if set(t, overlay, "/spec/template/spec/terminationGracePeriodSeconds", &seconds) {
				t.Errorf("%s sets the grace period in a second place", overlay)
			}
		}
	}
}

// TestOverlaysLetTheDrainThrough: with karpenter.sh/do-not-disrupt a spot interruption ends without
// a SIGTERM, because Karpenter's drain passes over the pod.
func TestOverlaysLetTheDrainThrough(t *testing.T) {
	for _, overlay := range []string{"gke-spot", "eks-spot", "aks-spot"} {
		for _, o := range operations(t, overlay) {
			if strings.Contains(o.Path, "do-not-disrupt") {
				t.Errorf("%s: %s", overlay, o.Path)
			}
		}
	}
	for _, file := range []string{"machines/eks-karpenter.yaml", "machines/eks-auto.yaml"} {
		text, err := os.ReadFile(filepath.Join("../../k8s", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"consolidationPolicy: WhenEmpty,", "terminationGracePeriod: 110s"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s lacks %s", file, want)
			}
		}
	}
}

// TestOneKindOfGPUARun: the first pod's GPU fixes the micro-batch, and the same bits need the same
// kind.
func TestOneKindOfGPUARun(t *testing.T) {
	h100 := map[string]bool{"p5.4xlarge": true, "p5.48xlarge": true, "Standard_NC40ads_H100_v5": true, "Standard_NC80adis_H100_v5": true}
	var accelerator string
	if !set(t, "gke-spot", "/spec/template/spec/nodeSelector/cloud.google.com~1gke-accelerator", &accelerator) || accelerator != "nvidia-h100-80gb" {
		t.Errorf("gke-spot selects %q; Autopilot refuses a Job without this selector", accelerator)
	}
	for _, overlay := range []string{"eks-spot", "aks-spot"} {
		var affinity struct {
			NodeAffinity struct {
				Required struct {
					Terms []struct {
						Match []struct {
							Key    string
							Values []string
						} `yaml:"matchExpressions"`
					} `yaml:"nodeSelectorTerms"`
				} `yaml:"requiredDuringSchedulingIgnoredDuringExecution"`
			} `yaml:"nodeAffinity"`
		}
		if !set(t, overlay, "/spec/template/spec/affinity", &affinity) {
			t.Fatalf("%s has no affinity", overlay)
		}
		for _, term := range affinity.NodeAffinity.Required.Terms {
			named := 0
			for _, m := range term.Match {
				if m.Key != "node.kubernetes.io/instance-type" {
					continue
				}
				for _, machine := range m.Values {
					if named++; !h100[machine] {
						t.Errorf("%s takes %s, which has another GPU", overlay, machine)
					}
				}
			}
			if named == 0 {
				t.Errorf("%s: a term takes machines with any GPU: %+v", overlay, term)
			}
		}
	}
}

// TestKueueIsNotSuspendedByHand: written down, suspend would stop the running Job at every apply.
func TestKueueIsNotSuspendedByHand(t *testing.T) {
	var suspend bool
	if set(t, "kueue", "/spec/suspend", &suspend) {
		t.Errorf("kueue sets suspend: %v", suspend)
	}
}

// TestSkyPilotRecoversByTheExitCodes: what helps when it is tried again, and never what needs a
// person. A count of restarts on errors would try those again as well.
func TestSkyPilotRecoversByTheExitCodes(t *testing.T) {
	var task struct {
		Resources struct {
			Recovery map[string]any `yaml:"job_recovery"`
		}
		Run string
	}
	readYAML(t, "skypilot.yaml", &task)
	want := []any{exitStorage, exitDevice, 137, exitStopped}
	if got, _ := task.Resources.Recovery["recover_on_exit_codes"].([]any); !slices.Equal(got, want) {
		t.Errorf("recovers on %v, want %v", got, want)
	}
	if n, ok := task.Resources.Recovery["max_restarts_on_errors"]; ok {
		t.Errorf("restarts on any error %v times", n)
	}
	if !strings.HasPrefix(task.Run, "exec ") {
		t.Errorf("run: %s: a shell in between takes the signals and the exit code", task.Run)
	}
}

// TestRunbookHasARowForEveryFailure that Kubernetes shows before the program says anything, and for
// every exit code.
func TestRunbookHasARowForEveryFailure(t *testing.T) {
	text, err := os.ReadFile("../../k8s/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## What a failure looks like")
	for _, want := range []string{
		"exit code 64", "with 65", "Exit Code: 75", "Exit Code: 76", "Exit Code: 137", "ErrImagePull", "ImagePullBackOff", "StartError", "RunContainerError", "Exit Code: 128",
		"UnexpectedAdmissionError", "Evicted", "Usage of EmptyDir", "Insufficient ephemeral-storage", "Insufficient cpu", "Insufficient nvidia.com/gpu", "kubectl cordon", "Suspended", "cuInit", "eks-cilium",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("the table of failures has no row with %q", want)
		}
	}
	for _, want := range []string{"docker run", "--stop-timeout", "port-forward", `"active":false`, "--sbom=true", "--provenance=mode=max", "--platform linux/amd64", "node-pools create", "nodepool add", "eks-auto.yaml", "metrics/podmonitor", "cijepa health", "-l job-name="} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the runbook does not say %q", want)
		}
	}
}

// TestCacheFitsItsVolume: the kubelet evicts a pod that fills its volume, so the program must stop
// short of that.
func TestCacheFitsItsVolume(t *testing.T) {
	var m manifest
	var c customization
	readYAML(t, "base/job.yaml", &m)
	readYAML(t, "base/kustomization.yaml", &c)
	var size, limit settings.Bytes
	if err := size.Decode(c.setting("CIJEPA_CACHE_SIZE")); err != nil {
		t.Fatal(err)
	}
	for _, v := range m.Spec.Template.Spec.Volumes {
		if v.Name == "cache" {
			if err := limit.Decode(v.EmptyDir.SizeLimit + "B"); err != nil {
				t.Fatal(err)
			}
		}
	}
	const imagenet100 = 16e9 // bytes, at most: 131,689 images of about 110 kB, in tars
	if size < imagenet100 || float64(limit) < 1.05*float64(size) {
		t.Errorf("the data takes %.0f bytes, the cache may take %d, its volume %d", imagenet100, size, limit)
	}
}

// TestScrapeFindsTheListener by its port's name or its number.
func TestScrapeFindsTheListener(t *testing.T) {
	var m manifest
	var c customization
	readYAML(t, "base/job.yaml", &m)
	readYAML(t, "base/kustomization.yaml", &c)
	var scraped string
	set(t, "metrics/annotations", "/spec/template/metadata/annotations/prometheus.io~1port", &scraped)
	listen := c.setting("CIJEPA_LISTEN")
	if ports := m.Spec.Template.Spec.Containers[0].Ports; len(ports) != 1 || listen != fmt.Sprintf(":%d", ports[0].Port) || listen != ":"+scraped {
		t.Errorf("the run listens on %q, the container's ports are %v, and Prometheus asks %q", listen, ports, scraped)
	}
}

// TestProbeIsTheImagesProgram and its command: a probe that cannot run would end every run after
// three minutes. It asks from within, so a run does not end for a port, a policy or a network.
func TestProbeIsTheImagesProgram(t *testing.T) {
	var m manifest
	readYAML(t, "base/job.yaml", &m)
	probe := m.Spec.Template.Spec.Containers[0].LivenessProbe
	dockerfile, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	c := probe.Exec.Command
	if len(c) != 2 || !strings.Contains(string(dockerfile), fmt.Sprintf("ENTRYPOINT [%q]", c[0])) || !strings.Contains(usage, "cijepa "+c[1]+" ") {
		t.Errorf("the probe is %q", c)
	}
	if probe.Timeout < 20 {
		t.Errorf("the probe may take %d s, and the program waits 8 s for an answer", probe.Timeout)
	}
}

// TestHeapLimitIsBelowTheMemory of the container, so that Go collects before the kernel kills.
func TestHeapLimitIsBelowTheMemory(t *testing.T) {
	var m manifest
	readYAML(t, "base/job.yaml", &m)
	container := m.Spec.Template.Spec.Containers[0]
	var memory, heap settings.Bytes
	if err := memory.Decode(container.Resources.Limits["memory"] + "B"); err != nil {
		t.Fatal(err)
	}
	for _, e := range container.Env {
		if e.Name == "GOMEMLIMIT" {
			if err := heap.Decode(e.Value); err != nil {
				t.Fatal(err)
			}
		}
	}
	if share := float64(heap) / float64(memory); share < 0.8 || share > 0.95 {
		t.Errorf("GOMEMLIMIT is %.2f of the container's memory", share)
	}
}

// TestDisksHoldThePod: a pod whose ephemeral storage no machine has stays Pending for ever, and the
// image lies on the same disk.
func TestDisksHoldThePod(t *testing.T) {
	var m manifest
	readYAML(t, "base/job.yaml", &m)
	var pod, image settings.Bytes
	if err := errors.Join(pod.Decode(m.Spec.Template.Spec.Containers[0].Resources.Limits["ephemeral-storage"]+"B"), image.Decode("10GB")); err != nil {
		t.Fatal(err)
	}
	enough := 1.5 * float64(pod+image) // a kubelet evicts at 85 %, and keeps some for the system
	sizes := regexp.MustCompile(`(?:bootDiskSize: |ephemeralStorage: \{size: |--disk-size |--node-osdisk-size )(\d+)`)
	for file, want := range map[string]int{"machines/gke.yaml": 3, "machines/eks-auto.yaml": 1, "README.md": 3} {
		text, err := os.ReadFile(filepath.Join("../../k8s", file))
		if err != nil {
			t.Fatal(err)
		}
		found := sizes.FindAllStringSubmatch(string(text), -1)
		for _, f := range found {
			if gigabytes, err := strconv.ParseFloat(f[1], 64); err != nil || gigabytes*1e9 < enough {
				t.Errorf("%s: %s GB, and a pod and its image want %.0f", file, f[1], enough/1e9)
			}
		}
		if len(found) != want {
			t.Errorf("%s: sizes of %d disks, want %d", file, len(found), want)
		}
	}
	text, err := os.ReadFile("../../k8s/machines/eks-karpenter.yaml") // Karpenter's default root volume has 20 GiB
	if err != nil || !strings.Contains(string(text), "instanceStorePolicy: RAID0") {
		t.Errorf("machines/eks-karpenter.yaml does not take the machine's own disks (%v)", err)
	}
}

// TestManifestsNameRealSettings: an unknown CIJEPA_ variable would end every pod with exit code 64.
func TestManifestsNameRealSettings(t *testing.T) {
	files, err := filepath.Glob("../../k8s/*")
	more, err2 := filepath.Glob("../../k8s/*/*")
	most, err3 := filepath.Glob("../../k8s/*/*/*")
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	usage, seen := settings.Usage(), 0
	for _, name := range slices.Concat(files, more, most) {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // a folder
		}
		for _, found := range regexp.MustCompile(`(CIJEPA_[A-Z_]+)(: not a setting)?`).FindAllStringSubmatch(string(text), -1) {
			v, quoted := found[1], found[2] != "" // the runbook quotes what the program says of a misspelt one
			seen++
			if !quoted && !strings.Contains(usage, "| `"+v+"` |") {
				t.Errorf("%s: %s is not a setting", name, v)
			}
		}
	}
	if seen < 8 {
		t.Errorf("saw %d variables, so this test has looked at the wrong thing", seen)
	}
}
