package cluster

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// definition is a folder of custom resource definitions in a Go module, which has the checksum of
// go.sum.
type definition struct{ module, sum, files string }

// definitions that k8s/ needs: Karpenter's for AWS, Kubeflow Trainer's, the Prometheus operator's,
// Cilium's. Google's and EKS Auto Mode's are in no Go module.
var definitions = []definition{
	{"github.com/aws/karpenter-provider-aws@v1.12.0", "h1:i85sVPjpZ0kfUCGZEbg5h1c5FF4M7UrdsQIKYwZHIJA=", "pkg/apis/crds/karpenter*.yaml"},
	{"github.com/kubeflow/trainer/v2@v2.2.0", "h1:whChZckEtycLo1UKH/M0hiNaCUozbLvf9JrgmMv+TAg=", "manifests/base/crds/trainer*.yaml"},
	{"github.com/prometheus-operator/prometheus-operator@v0.85.0", "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=", "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"},
	{"github.com/cilium/cilium@v1.17.0", "h1:WeR71cqrGN0nvn0QEzerGYHiKAYhs77QaXeOUU7UQUI=", "pkg/k8s/apis/cilium.io/client/crds/v2/ciliumnetworkpolicies.yaml"},
}

// download returns the folder of a module.
func (d definition) download(t *testing.T) string {
	t.Helper()
	c := exec.Command("go", "mod", "download", "-json", d.module)
	c.Dir = os.TempDir() // of no module, whose requirements would count
	out, err := c.Output()
	var got struct{ Dir, Sum, Error string }
	if json.Unmarshal(out, &got); got.Sum != d.sum || got.Dir == "" {
		t.Fatalf("%s: checksum %q, want %q; %s (%v)", d.module, got.Sum, d.sum, got.Error, err)
	}
	return got.Dir
}

// apply makes the definitions known to the cluster.
func (d definition) apply(t *testing.T, p *plane) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(d.download(t), d.files))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no %s: %v", d.module, d.files, err)
	}
	for _, file := range files {
		p.must(t, "apply", "--server-side", "-f", file)
	}
}

// definitions applies all of them and waits until the API server serves them.
func (s *stage) definitions(t *testing.T) {
	t.Helper()
	for _, d := range definitions {
		d.apply(t, s.plane)
	}
	s.plane.must(t, "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
}
