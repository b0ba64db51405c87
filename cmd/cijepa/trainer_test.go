package main

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestKubeflowTrainerIsToldOfTheRun: with the variables that Trainer puts into a pod, and the run
// is the same for it, also when nobody answers.
func TestKubeflowTrainerIsToldOfTheRun(t *testing.T) {
	t.Parallel()
	slow(t)
	var mu sync.Mutex
	var percents []int
	var metrics []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			TrainerStatus struct {
				ProgressPercentage int
				Metrics            []struct{ Name, Value string }
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("%v, %v", err, r.Header)
		}
		mu.Lock()
		defer mu.Unlock()
		percents = append(percents, body.TrainerStatus.ProgressPercentage)
		for _, m := range body.TrainerStatus.Metrics {
			metrics = append(metrics, m.Name)
		}
	}))
	defer server.Close()
	folder := t.TempDir()
	ca, token := filepath.Join(folder, "ca.crt"), filepath.Join(folder, "token")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := errors.Join(os.WriteFile(ca, text, 0o600), os.WriteFile(token, []byte("secret"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for name, url := range map[string]string{"a server": server.URL, "nobody": "https://127.0.0.1:1"} {
		bucket := newBucket(t)
		c, log := start(t, bucket, "KUBEFLOW_TRAINER_SERVER_URL="+url, "KUBEFLOW_TRAINER_SERVER_CA_CERT="+ca, "KUBEFLOW_TRAINER_SERVER_TOKEN="+token)
		if code := wait(t, c); code != exitDone {
			t.Fatalf("%s: exit %d\n%s", name, code, log)
		}
		same(t, name, result(t, bucket))
	}
	mu.Lock()
	defer mu.Unlock()
	if len(percents) < 2 || percents[0] >= 100 || percents[len(percents)-1] != 100 || metrics[0] != "phase" || metrics[len(metrics)-1] != "top1" {
		t.Errorf("told %v %% and %v", percents, metrics)
	}
}
