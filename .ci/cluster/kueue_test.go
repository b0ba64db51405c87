package cluster

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	batch "k8s.io/api/batch/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// kueueModule is Kueue itself: its definitions, its webhooks and its program come from here.
var kueueModule = definition{"sigs.k8s.io/kueue@v0.17.0", "h1:7hzb38M4eKGzYW+CFv2s1L+swzzacUCHOCXxZmAV90I=", "config/components/crd/bases/*.yaml"}

// kueueQueue is the queue that k8s/kueue names, with two GPUs.
const kueueQueue = `
apiVersion: kueue.x-k8s.io/v1beta2
kind: ResourceFlavor
metadata: {name: spot}
---
apiVersion: kueue.x-k8s.io/v1beta2
kind: ClusterQueue
metadata: {name: gpus}
spec:
  namespaceSelector: {}
  resourceGroups:
    - coveredResources: [cpu, memory, ephemeral-storage, nvidia.com/gpu]
      flavors:
        - name: spot
          resources:
            - {name: cpu, nominalQuota: 1000}
            - {name: memory, nominalQuota: 10Ti}
            - {name: ephemeral-storage, nominalQuota: 10Ti}
            - {name: nvidia.com/gpu, nominalQuota: 2}
---
apiVersion: kueue.x-k8s.io/v1beta2
kind: LocalQueue
metadata: {name: gpu-spot, namespace: cijepa}
spec: {clusterQueue: gpus}
`

// startKueue builds Kueue's controller, starts it, and gives the API server its webhooks.
func startKueue(t *testing.T, s *stage) {
	t.Helper()
	module := kueueModule.download(t)
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	_, version, _ := strings.Cut(kueueModule.module, "@")
	bin := filepath.Join(cache, "cijepa-ci", "kueue-"+version)
	if _, err := os.Stat(filepath.Join(bin, "kueue")); err != nil {
		c := exec.Command("go", "install", "sigs.k8s.io/kueue/cmd/kueue@"+version)
		c.Env, c.Dir = append(os.Environ(), "GOBIN="+bin, "CGO_ENABLED=0", "GOFLAGS=-mod=mod"), os.TempDir()
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("building Kueue: %v\n%s", err, out)
		}
	}
	kueueModule.apply(t, s.plane)
	s.plane.must(t, "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
	s.plane.must(t, "create", "namespace", "kueue-system")

	folder := t.TempDir()
	authority := writeCertificate(t, folder)
	ports, err := freePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`apiVersion: config.kueue.x-k8s.io/v1beta2
kind: Configuration
health: {healthProbeBindAddress: "127.0.0.1:%d"}
metrics: {bindAddress: "0"}
webhook: {host: 127.0.0.1, port: %d, certDir: %s}
leaderElection: {leaderElect: false}
internalCertManagement: {enable: false}
integrations: {frameworks: [batch/job]}
`, ports[0], ports[1], folder)
	// Without the management of certificates that needs a Service, Kueue reads those of its
	// metrics from here.
	const fixed = "/etc/kueue"
	if err := os.Mkdir(fixed, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(fixed) })
	if err := os.Mkdir(filepath.Join(fixed, "metrics"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(folder, filepath.Join(fixed, "metrics/certs")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "config.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	err = s.plane.serve("kueue", filepath.Join(bin, "kueue"), []string{"KUBECONFIG=" + s.plane.kubeconfig}, "--config", path, "--feature-gates=VisibilityOnDemand=false")
	if err != nil {
		t.Fatal(err)
	}
	server := s.plane.programs[len(s.plane.programs)-1]
	t.Cleanup(func() {
		_, _ = s.plane.kubectl("delete", "validatingwebhookconfigurations,mutatingwebhookconfigurations", "--all")
		_ = server.process.Process.Kill()
		<-server.ended
	})
	address := fmt.Sprintf("127.0.0.1:%d", ports[1])
	err = s.plane.await(func() error {
		c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	applyWebhooks(t, s, filepath.Join(module, "config/components/webhook/manifests.yaml"), "https://"+address, authority)
	s.applyText(t, kueueQueue)
}

// applyText applies manifests, and tries again while a webhook is not ready.
func (s *stage) applyText(t *testing.T, text string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "manifests.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	err := s.plane.await(func() error {
		_, err := s.plane.kubectl("apply", "-f", path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// applyWebhooks registers Kueue's webhooks of Jobs and of its own kinds, at an address instead of
// at a service.
func applyWebhooks(t *testing.T, s *stage, manifests, url, authority string) {
	t.Helper()
	text, err := os.ReadFile(manifests)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, document := range bytes.Split(text, []byte("\n---\n")) {
		var configuration map[string]any
		if err := yaml.Unmarshal(document, &configuration); err != nil {
			t.Fatal(err)
		}
		var kept []any
		for _, w := range configuration["webhooks"].([]any) {
			webhook := w.(map[string]any)
			name := webhook["name"].(string)[1:] // m or v
			if !slices.Contains([]string{"job.kb.io", "workload.kb.io", "clusterqueue.kb.io", "resourceflavor.kb.io"}, name) {
				continue
			}
			path := webhook["clientConfig"].(map[string]any)["service"].(map[string]any)["path"].(string)
			webhook["clientConfig"] = map[string]any{"url": url + path, "caBundle": authority}
			kept = append(kept, webhook)
		}
		configuration["webhooks"] = kept
		text, err := yaml.Marshal(configuration)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(text))
	}
	s.applyText(t, strings.Join(out, "\n---\n"))
}

// writeCertificate writes a certificate of the loopback address, and returns it as a webhook's
// caBundle.
func writeCertificate(t *testing.T, folder string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	for name, of := range map[string][]byte{"tls.crt": text, "tls.key": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(filepath.Join(folder, name), of, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return base64.StdEncoding.EncodeToString(text)
}

// TestKueue tries the component kueue on Kueue itself: what the runbook says of it.
func TestKueue(t *testing.T) {
	s := trials
	s.plane.must(t, "apply", "-f", "../../k8s/namespace/namespace.yaml")
	startKueue(t, s)
	job := func(name string) *batch.Job {
		j, err := s.plane.client.BatchV1().Jobs("cijepa").Get(context.Background(), name, meta.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	workload := func(name string) string {
		return strings.TrimSpace(s.plane.must(t, "get", "workloads", "-o", `jsonpath={.items[?(@.metadata.ownerReferences[0].name=="`+name+`")].metadata.name}`))
	}
	until := func(what string, ready func() bool) {
		t.Helper()
		for end := time.Now().Add(patience); !ready(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("not %s\n%s", what, s.plane.must(t, "get", "job,pod,workload", "-o", "wide"))
			}
		}
	}

	t.Run("a run is stopped by its Workload", func(t *testing.T) {
		n := newNode(t, s, "queued", "queued", 1)
		u := demo("queued", "CIJEPA_EPOCHS=12")
		u.overlays = append(u.overlays, "kueue")
		s.submit(t, u)
		s.begun(t, "queued", 2)
		s.plane.must(t, "apply", "-k", s.folder(t, u))
		time.Sleep(2 * time.Second)
		if codes := exits("queued", n); len(codes) > 0 || *job("queued").Spec.Suspend {
			t.Errorf("a second apply of the same manifests has stopped the Job: exit codes %v", codes)
		}

		// Job.spec.suspend is Kueue's: it is undone at once, at the price of a pod.
		s.plane.must(t, "patch", "job", "queued", "-p", `{"spec":{"suspend":true}}`)
		until("undone", func() bool { return len(exits("queued", n)) == 1 && !*job("queued").Spec.Suspend })

		before := len(s.manifests("queued"))
		s.begun(t, "queued", before+1)
		s.plane.must(t, "patch", "workload", workload("queued"), "--type", "merge", "-p", `{"spec":{"active":false}}`)
		until("stopped", func() bool { return len(exits("queued", n)) == 2 && *job("queued").Spec.Suspend })
		time.Sleep(2 * time.Second)
		if !*job("queued").Spec.Suspend {
			t.Error("it did not stay stopped")
		}
		s.plane.must(t, "patch", "workload", workload("queued"), "--type", "merge", "-p", `{"spec":{"active":true}}`)
		j := s.until(t, "queued", batch.JobComplete)
		t.Logf("suspended by hand and undone, stopped by its Workload and resumed: exit codes %v, failures counted %d", exits("queued", n), j.Status.Failed)
	})

	t.Run("a sweep starts with the GPUs that there are", func(t *testing.T) {
		n := newNode(t, s, "partial", "partial", 4)
		u := demo("partial", "CIJEPA_EPOCHS=2")
		u.overlays = append(u.overlays, "sweep", "kueue")
		u.patch = []string{"- {op: replace, path: /spec/completions, value: 4}"}
		s.submit(t, u)
		until("started", func() bool { return len(s.pods(t, "partial")) > 0 })
		if p := *job("partial").Spec.Parallelism; p != 2 {
			t.Errorf("parallelism %d of 4, and the queue has 2 GPUs", p)
		}
		out, err := s.plane.kubectl("apply", "-k", s.folder(t, u))
		if err == nil || !strings.Contains(out, "cannot change when partial admission is enabled") {
			t.Errorf("a second apply while it runs with less: %v\n%s", err, out)
		}
		j := s.until(t, "partial", batch.JobComplete)
		t.Logf("4 lines on 2 of 4 GPUs: completed %s, exit codes %v", j.Status.CompletedIndexes, exits("partial", n))
	})

	t.Run("least parallelism must be less than parallelism", func(t *testing.T) {
		u := demo("one")
		u.overlays = append(u.overlays, "sweep", "kueue")
		u.patch = []string{"- {op: replace, path: /spec/parallelism, value: 1}"}
		out, err := s.plane.kubectl("apply", "-k", s.folder(t, u))
		if err == nil || !strings.Contains(out, "should be between 0 and 0") {
			t.Errorf("a sweep on one GPU with the annotation: %v\n%s", err, out)
		}
	})
}
