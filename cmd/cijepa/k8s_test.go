package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
			Metadata struct{ Annotations map[string]string }
			Spec     struct {
				Grace      int `yaml:"terminationGracePeriodSeconds"`
				Containers []struct {
					Name  string
					Env   []variable
					Ports []struct {
						Port int `yaml:"containerPort"`
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
	Patches            []struct{ Patch string }
}

// setting is the value of a variable in its ConfigMap.
func (c customization) setting(name string) string {
	for _, l := range c.ConfigMapGenerator[0].Literals {
		if v, ok := strings.CutPrefix(l, name+"="); ok {
			return v
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

	// An Indexed Job fails a row, not itself, and each row has the tries of a single run.
	var action string
	var limit int
	if !set(t, "table", "/spec/podFailurePolicy/rules/0/action", &action) || action != "FailIndex" {
		t.Errorf("table: the action of rule 0 is %q, want FailIndex", action)
	}
	if !set(t, "table", "/spec/backoffLimitPerIndex", &limit) || limit != m.Spec.BackoffLimit || limit != 6 {
		t.Errorf("table: %d tries a row, a single run has %d; want 6", limit, m.Spec.BackoffLimit)
	}
}

func TestTableHasAnIndexForEveryPreset(t *testing.T) {
	var completions int
	var preset variable
	if !set(t, "table", "/spec/completions", &completions) || completions != len(settings.Presets()) {
		t.Errorf("%d completions, %d presets", completions, len(settings.Presets()))
	}
	if !set(t, "table", "/spec/template/spec/containers/0/env/-", &preset) || preset != (variable{"CIJEPA_PRESET", "table"}) {
		t.Errorf("the table sets %+v", preset)
	}
}

// TestStopFitsTheGracePeriod: the last save must have ended when SIGKILL comes.
func TestStopFitsTheGracePeriod(t *testing.T) {
	const margin = 3 * time.Second // for the way out: both count from SIGTERM
	var m manifest
	readYAML(t, "base/job.yaml", &m)
	for overlay, most := range map[string]time.Duration{"base": 30 * time.Second, "gke-spot": 15 * time.Second, "eks-spot": 100 * time.Second, "aks-spot": 20 * time.Second} {
		seconds, env := m.Spec.Template.Spec.Grace, m.Spec.Template.Spec.Containers[0].Env[0]
		if overlay != "base" && (!set(t, overlay, "/spec/template/spec/terminationGracePeriodSeconds", &seconds) || !set(t, overlay, "/spec/template/spec/containers/0/env/0", &env)) {
			t.Errorf("%s does not set both", overlay)
		}
		deadline, err := time.ParseDuration(env.Value)
		grace := time.Duration(seconds) * time.Second
		if err != nil || env.Name != "CIJEPA_STOP_DEADLINE" || deadline+margin > grace || grace > most {
			t.Errorf("%s: %s=%s in %v of grace, of which a pod gets %v at most (%v)", overlay, env.Name, env.Value, grace, most, err)
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

// TestProbeAndScrapeFindTheListener: a liveness probe on another port would end every run after
// three minutes.
func TestProbeAndScrapeFindTheListener(t *testing.T) {
	var m manifest
	var c customization
	readYAML(t, "base/job.yaml", &m)
	readYAML(t, "base/kustomization.yaml", &c)
	listen, scraped := c.setting("CIJEPA_LISTEN"), m.Spec.Template.Metadata.Annotations["prometheus.io/port"]
	if ports := m.Spec.Template.Spec.Containers[0].Ports; len(ports) != 1 || listen != fmt.Sprintf(":%d", ports[0].Port) || listen != ":"+scraped {
		t.Errorf("the run listens on %q, the container's ports are %v, and Prometheus asks %q", listen, ports, scraped)
	}
}

// TestManifestsNameRealSettings: an unknown CIJEPA_ variable would end every pod with exit code 64.
func TestManifestsNameRealSettings(t *testing.T) {
	files, err := filepath.Glob("../../k8s/*")
	more, err2 := filepath.Glob("../../k8s/*/*")
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	usage, seen := settings.Usage(), 0
	for _, name := range append(files, more...) {
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
