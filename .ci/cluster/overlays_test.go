package cluster

import (
	"slices"
	"strings"
	"testing"
)

// TestOverlaysAreAccepted: every overlay, and each of them with sweeps, Kueue and Trainer, passes
// the API server's strict validation without a warning, in a namespace that takes restricted pods
// only. Kinds that are not Kubernetes' own come from their projects.
func TestOverlaysAreAccepted(t *testing.T) {
	trials.plane.must(t, "apply", "-f", "../../k8s/namespace/namespace.yaml")
	trials.definitions(t)
	try := func(u submission) (string, error) {
		u.name = "cijepa"
		u.settings = append(u.settings, "AZURE_CLIENT_ID=00000000-0000-0000-0000-000000000000")
		return trials.plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-k", trials.folder(t, u))
	}
	accepted := 0
	for _, cloud := range [][]string{nil, {"gke-spot"}, {"gke-spot", "gke-computeclass"}, {"eks-spot"}, {"eks-spot", "eks-cilium"}, {"eks-spot", "eks-on-demand"}, {"aks-spot"}, {"aks-spot", "aks-on-demand"}} {
		for _, more := range [][]string{nil, {"sweep"}, {"kueue"}, {"sweep", "kueue"}, {"in-place", "sweep"}, {"trainjob"}, {"metrics/annotations"}, {"metrics/podmonitor"}} {
			want := "job.batch/cijepa created"
			if slices.Contains(more, "trainjob") {
				want = "trainjob.trainer.kubeflow.org/cijepa created"
			}
			overlays := slices.Concat([]string{"namespace"}, cloud, more)
			out, err := try(submission{overlays: overlays})
			if err != nil || strings.Contains(out, "Warning") || !strings.Contains(out, want) {
				t.Errorf("%v: %v\n%s", overlays, err, out)
				continue
			}
			accepted++
		}
	}
	t.Logf("%d accepted", accepted)
	for _, file := range []string{"eks-karpenter.yaml", "aks.yaml"} {
		out, err := trials.plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "../../k8s/machines/"+file)
		if err != nil || strings.Contains(out, "Warning") {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}

	// What must be refused is refused, so that the above says something.
	for patch, want := range map[string]string{
		"- {op: add, path: /spec/completion, value: 12}":                                        `unknown field "spec.completion"`,
		"- {op: add, path: /spec/backoffLimitPerIndex, value: 6}":                               "spec.backoffLimitPerIndex",
		"- {op: replace, path: /spec/template/spec/restartPolicy, value: OnFailure}":            "restartPolicy",
		"- {op: replace, path: /spec/template/spec/securityContext/runAsNonRoot, value: false}": "would violate PodSecurity",
	} {
		out, err := try(submission{overlays: []string{"namespace", "gke-spot"}, patch: []string{patch}})
		if !strings.Contains(out, want) {
			t.Errorf("%s: got %v\n%s\nwant %q", patch, err, out, want)
		}
		for line := range strings.Lines(out) {
			if strings.Contains(line, want) {
				t.Logf("%s\n  %.300s", patch, line)
			}
		}
	}
}
