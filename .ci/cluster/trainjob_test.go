package cluster

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTrainJobShowsTheProgress: what the program posts is a status that the definition of TrainJob
// takes. A server stands in for Trainer's: it writes each post into the TrainJob of k8s/trainjob.
func TestTrainJobShowsTheProgress(t *testing.T) {
	s := trials
	s.definitions(t)
	bucket := "trainjob"
	if err := os.MkdirAll(filepath.Join(s.buckets, bucket), 0o755); err != nil {
		t.Fatal(err)
	}
	s.plane.must(t, "apply", "--validate=strict", "-k", s.folder(t, submission{name: "cijepa", bucket: bucket, overlays: []string{"namespace", "gke-spot", "trainjob"}}))
	t.Cleanup(func() { _, _ = s.plane.kubectl("delete", "trainjob,trainingruntime", "cijepa") })

	var percents []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		err := json.NewDecoder(r.Body).Decode(&body)
		patch, _ := json.Marshal(map[string]any{"status": body})
		if err == nil {
			_, err = s.plane.kubectl("patch", "trainjob", "cijepa", "--subresource=status", "--type=merge", "-p", string(patch))
		}
		if err != nil {
			t.Error(err)
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
		out, _ := s.plane.kubectl("get", "trainjob", "cijepa", "-o", "jsonpath={.status.trainerStatus.progressPercentage}")
		percents = append(percents, out)
	}))
	defer server.Close()
	folder := t.TempDir()
	ca, token := filepath.Join(folder, "ca.crt"), filepath.Join(folder, "token")
	for path, text := range map[string][]byte{ca: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), token: []byte("token")} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(s.image)
	c.Env = slices.Concat([]string{
		"HOME=" + folder, "CIJEPA_CACHE_DIR=" + folder, "CIJEPA_PRESET=demo", "CIJEPA_EPOCHS=4",
		"CIJEPA_BUCKET=" + s.url(bucket), "CIJEPA_DATA_BUCKET=" + s.url(dataBucket),
		"KUBEFLOW_TRAINER_SERVER_URL=" + server.URL, "KUBEFLOW_TRAINER_SERVER_CA_CERT=" + ca, "KUBEFLOW_TRAINER_SERVER_TOKEN=" + token,
	}, tiny, s.identity)
	if log, err := c.CombinedOutput(); err != nil || strings.Contains(string(log), "cannot be told") {
		t.Fatalf("%v\n%s", err, log)
	}
	status := s.plane.must(t, "get", "trainjob", "cijepa", "-o", "jsonpath={.status.trainerStatus}")
	if n := len(percents); n < 2 || percents[n-1] != "100" || !strings.Contains(status, `"name":"top1"`) {
		t.Errorf("the TrainJob has shown %v %%; its status is %s", percents, status)
	}
	t.Logf("the TrainJob has shown %v %%; at the end %s", percents, status)
}
