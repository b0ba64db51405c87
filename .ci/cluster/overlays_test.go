package cluster

import (
	"slices"
	"strings"
	"testing"
)

// TestOverlaysAreAccepted: every overlay, and each of them with the table and with Kueue, passes the API server's strict validation
// without a warning, in a namespace that takes restricted pods only.
func TestOverlaysAreAccepted(t *testing.T) {
	trials.plane.must(t, "apply", "-f", "../../k8s/base/namespace.yaml")
	try := func(u submission) (string, error) {
		u.name = "cijepa"
		u.settings = append(u.settings, "AZURE_CLIENT_ID=00000000-0000-0000-0000-000000000000")
		return trials.plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-k", trials.folder(t, u))
	}
	accepted := 0
	for _, cloud := range []string{"", "gke-spot", "eks-spot", "aks-spot"} {
		for _, more := range [][]string{nil, {"table"}, {"kueue"}, {"table", "kueue"}} {
			overlays := slices.DeleteFunc(append([]string{cloud}, more...), func(s string) bool { return s == "" })
			out, err := try(submission{overlays: overlays})
			if err != nil || strings.Contains(out, "Warning") || !strings.Contains(out, "job.batch/cijepa created") {
				t.Errorf("%v: %v\n%s", overlays, err, out)
				continue
			}
			accepted++
		}
	}
	t.Logf("%d accepted", accepted)

	// What must be refused is refused, so that the above says something.
	for patch, want := range map[string]string{
		"- {op: add, path: /spec/completion, value: 12}":                                        `unknown field "spec.completion"`,
		"- {op: add, path: /spec/backoffLimitPerIndex, value: 6}":                               "spec.backoffLimitPerIndex",
		"- {op: replace, path: /spec/template/spec/restartPolicy, value: OnFailure}":            "restartPolicy",
		"- {op: replace, path: /spec/template/spec/securityContext/runAsNonRoot, value: false}": "would violate PodSecurity",
	} {
		out, err := try(submission{overlays: []string{"gke-spot"}, patch: []string{patch}})
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
