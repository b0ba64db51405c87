package cluster

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// stage is what all trials share: a control plane, an S3 server with the demonstration's data in
// one bucket, and the program.
type stage struct {
	dir      string
	plane    *plane
	image    string   // the program: what every image runs
	server   string   // host:port of the S3 server
	buckets  string   // its folder: a folder in it is a bucket, a file an object
	identity []string // what a pod's identity gives
}

var trials *stage // made by TestMain

const dataBucket = "trial-data"

// url is that of a bucket.
func (s *stage) url(bucket string) string {
	return fmt.Sprintf("s3://%s?endpoint=http://%s&use_path_style=true&region=us-east-1", bucket, s.server)
}

// tiny are the settings of a run that takes seconds and has everything: epochs, windows, all
// sampled depths, many checkpoints, both probes, the kNN.
var tiny = []string{
	"CIJEPA_DATA=tiny", "CIJEPA_IMAGE=28", "CIJEPA_PATCH=4", "CIJEPA_WIDTH=16", "CIJEPA_HEADS=2", "CIJEPA_PREDICTOR_WIDTH=8", "CIJEPA_PREDICTOR_HEADS=1", "CIJEPA_PREDICTOR_DEPTH=1",
	"CIJEPA_PRECISION=float32", "CIJEPA_BATCH=16", "CIJEPA_WINDOW=2", "CIJEPA_PROBE_EPOCHS=1", "CIJEPA_PROBE_BATCH=32", "CIJEPA_KNN_K=5", "CIJEPA_KNN_BANK=100",
	"CIJEPA_SAVE_EVERY=300ms", "CIJEPA_LOG_EVERY=10", "CIJEPA_BACKEND=go:ops_sequential",
	"CIJEPA_LISTEN=127.0.0.1:0", // these pods share a network
}

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "10") // the trials wait for the cluster more than for a processor
	s, end, err := setStage()
	if err != nil {
		end()
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	trials = s
	code := m.Run()
	end()
	os.Exit(code)
}

func setStage() (s *stage, end func(), err error) {
	end = func() {}
	if os.Geteuid() != 0 {
		return nil, end, errors.New("run these trials as root: they start processes under other users, roots and host names")
	}
	dir, err := os.MkdirTemp("", "cijepa-cluster-")
	if err != nil {
		return nil, end, err
	}
	end = func() { os.RemoveAll(dir) }
	s = &stage{dir: dir, image: filepath.Join(dir, "cijepa"), buckets: filepath.Join(dir, "buckets")}
	began := time.Now()
	run := func(folder string, env []string, words ...string) (string, error) {
		c := exec.Command(words[0], words[1:]...)
		c.Dir, c.Env, c.Stderr = folder, append(os.Environ(), env...), os.Stderr
		out, err := c.Output()
		if err != nil {
			err = fmt.Errorf("%s: %w", strings.Join(words, " "), err)
		}
		return strings.TrimSpace(string(out)), err
	}
	bin, err := run(".", nil, "./build")
	if err != nil {
		return nil, end, err
	}
	if _, err := run(".", nil, "../tools/build", "versitygw"); err != nil {
		return nil, end, err
	}
	if _, err := run("../..", []string{"CGO_ENABLED=0"}, "go", "build", "-o", s.image, "./cmd/cijepa"); err != nil {
		return nil, end, err
	}
	built := time.Now()
	if s.plane, err = startPlane(dir, bin); err != nil {
		return nil, end, err
	}
	end = func() {
		s.plane.stop()
		os.RemoveAll(dir)
	}
	up := time.Now()
	if err := s.startServer(); err != nil {
		return nil, end, err
	}
	if err := smallData(filepath.Join(dir, "idx")); err != nil {
		return nil, end, err
	}
	if _, err := run(dir, s.identity, s.image, "pack", "-data", "tiny", "-samples", "80", filepath.Join(dir, "idx"), s.url(dataBucket)); err != nil {
		return nil, end, err
	}
	fmt.Fprintf(os.Stderr, "built in %.1f s; control plane up in %.1f s; bucket and data in %.1f s; KUBECONFIG=%s\n", built.Sub(began).Seconds(), up.Sub(built).Seconds(), time.Since(up).Seconds(), s.plane.kubeconfig)
	return s, end, nil
}

// startServer starts an S3 server with the bucket of the data.
func (s *stage) startServer() error {
	const user, secret = "trial", "trialsecret"
	s.identity = []string{"AWS_ACCESS_KEY_ID=" + user, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_EC2_METADATA_DISABLED=true"}
	if err := os.MkdirAll(filepath.Join(s.buckets, dataBucket), 0o755); err != nil {
		return err
	}
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	s.server = fmt.Sprintf("127.0.0.1:%d", ports[0])
	err = s.plane.serve("versitygw", "../bin/versitygw", []string{"ROOT_ACCESS_KEY=" + user, "ROOT_SECRET_KEY=" + secret}, "--port", s.server, "--quiet", "posix", s.buckets)
	if err != nil {
		return err
	}
	return s.plane.await(func() error {
		c, err := net.Dial("tcp", s.server)
		if err == nil {
			c.Close()
		}
		return err
	})
}

// smallData writes the first 480 and 100 images of the demonstration's data as a folder that cijepa
// pack takes.
func smallData(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for from, to := range map[string]string{"train": "train", "val": "t10k"} {
		count := map[string]uint32{"train": 480, "val": 100}[from]
		for kind, size := range map[string]int{"images-idx3": 28 * 28, "labels-idx1": 1} {
			if err := head(fmt.Sprintf("../../job/demo/data/%s-%s-ubyte.gz", from, kind), fmt.Sprintf("%s/%s-%s-ubyte", folder, to, kind), count, size); err != nil {
				return err
			}
		}
	}
	return nil
}

// head copies the first items of an IDX file.
func head(from, to string, count uint32, size int) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	plain, err := gzip.NewReader(bufio.NewReader(in))
	if err != nil {
		return err
	}
	header := 8
	if size > 1 {
		header = 16
	}
	text := make([]byte, header+int(count)*size)
	if _, err := io.ReadFull(plain, text); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	binary.BigEndian.PutUint32(text[4:], count)
	return os.WriteFile(to, text, 0o644)
}

// submission is k8s/ as a user has edited it.
type submission struct {
	name     string // of the Job
	bucket   string // of its run
	overlays []string
	settings []string // beside those of the tiny run
	patch    []string // lines of a JSON patch of the Job
	pool     string   // the nodes that it may run on; empty: any
}

// folder writes the submission down: a copy of k8s/ with another kustomization.yaml at its top.
func (s *stage) folder(t *testing.T, u submission) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS("../../k8s")); err != nil {
		t.Fatal(err)
	}
	top := filepath.Join(folder, "kustomization.yaml")
	text, err := os.ReadFile(top)
	if err != nil {
		t.Fatal(err)
	}
	var k map[string]any
	if err := yaml.Unmarshal(text, &k); err != nil {
		t.Fatal(err)
	}
	k["components"] = u.overlays
	values := map[string]string{}
	for _, l := range slices.Concat([]string{"CIJEPA_BUCKET=" + s.url(u.bucket), "CIJEPA_DATA_BUCKET=" + s.url(dataBucket)}, tiny, u.settings) {
		name, value, _ := strings.Cut(l, "=")
		values[name] = value
	}
	var literals []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		literals = append(literals, name+"="+values[name])
	}
	k["configMapGenerator"] = []map[string]any{{"name": "cijepa", "behavior": "merge", "literals": literals}}
	patch := "- {op: replace, path: /metadata/name, value: " + u.name + "}\n"
	if u.pool != "" {
		patch += "- {op: add, path: /spec/template/spec/nodeSelector/pool, value: " + u.pool + "}\n"
	}
	k["patches"] = []map[string]any{{"target": map[string]string{"kind": "Job"}, "options": map[string]bool{"allowNameChange": true}, "patch": patch + strings.Join(u.patch, "\n")}}
	if text, err = yaml.Marshal(k); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(top, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return folder
}

// submit applies a submission and deletes its Job when the test ends.
func (s *stage) submit(t *testing.T, u submission) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(s.buckets, u.bucket), 0o755); err != nil {
		t.Fatal(err)
	}
	s.plane.must(t, "apply", "--validate=strict", "-k", s.folder(t, u))
	t.Cleanup(func() { _, _ = s.plane.kubectl("delete", "job", u.name, "--wait=false") })
}

// patience is how long a trial waits for what must come. It takes seconds; a machine under load
// takes minutes.
const patience = 12 * time.Minute

// until waits until a Job has a condition, and gives it.
func (s *stage) until(t *testing.T, name string, condition batch.JobConditionType) *batch.Job {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		j, err := s.plane.client.BatchV1().Jobs("cijepa").Get(t.Context(), name, meta.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range j.Status.Conditions {
			if c.Status != "True" {
				continue
			}
			if c.Type == condition {
				return j
			}
			if c.Type == batch.JobFailed || c.Type == batch.JobComplete {
				t.Fatalf("%s is %s, not %s\n%s", name, c.Type, condition, s.plane.must(t, "describe", "job", name))
			}
		}
	}
	t.Fatalf("%s is not %s\n%s", name, condition, s.plane.must(t, "describe", "job,pod", "-l", "job-name="+name))
	return nil
}

// awaited types the runbook's command that waits for the end of a Job, and gives what it prints.
func (s *stage) awaited(t *testing.T, name string) string {
	t.Helper()
	runbook, err := os.ReadFile("../../k8s/README.md")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^until kubectl .*$`).FindString(string(runbook))
	c := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(command, "job cijepa", "job "+name))
	c.Env = append(os.Environ(), "KUBECONFIG="+s.plane.kubeconfig, "PATH="+s.plane.bin+":"+os.Getenv("PATH"))
	out, err := c.CombinedOutput()
	if err != nil || command == "" {
		t.Fatalf("%q: %v\n%s", command, err, out)
	}
	return strings.TrimSpace(string(out))
}

// condition is what a Job says of a condition that it has.
func condition(j *batch.Job, kind batch.JobConditionType) string {
	for _, c := range j.Status.Conditions {
		if c.Type == kind {
			return c.Reason + ": " + c.Message
		}
	}
	return ""
}

// pods are those of a Job that are still there.
func (s *stage) pods(t *testing.T, job string) []core.Pod {
	t.Helper()
	list, err := s.plane.client.CoreV1().Pods("cijepa").List(t.Context(), meta.ListOptions{LabelSelector: "job-name=" + job})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// figures are the part of result.json that no preemption may change, and how often the run was
// started.
func (s *stage) figures(t *testing.T, bucket, run string) (figures map[string]any, attempts int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.buckets, bucket, "runs", run, "result.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Metrics map[string]any
		Stats   struct{ Attempts int }
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	for _, sum := range []string{"teacher_sha256", "state_sha256"} {
		if v, _ := r.Metrics[sum].(string); len(v) != 64 {
			t.Fatalf("%s in %s is %q", sum, bucket, v)
		}
	}
	return r.Metrics, r.Stats.Attempts
}

// metrics are the figures of the demonstration's run in a bucket.
func (s *stage) metrics(t *testing.T, bucket string) map[string]any {
	t.Helper()
	f, _ := s.figures(t, bucket, "demo-s0")
	return f
}

// sameAsAlone compares a bucket's run with the one that was left alone.
func (s *stage) sameAsAlone(t *testing.T, bucket string) {
	t.Helper()
	want, _ := s.figures(t, "alone", "demo-s0")
	got, attempts := s.figures(t, bucket, "demo-s0")
	if !reflect.DeepEqual(want, got) {
		t.Errorf("%s differs from the run that was left alone:\n%v\n%v", bucket, got, want)
	}
	if attempts < 2 {
		t.Errorf("%s was started once, so nothing disturbed it", bucket)
	}
	t.Logf("%s: %d attempts, state %.12s, teacher %.12s, top-1 %v: as the run that was left alone", bucket, attempts, got["state_sha256"], got["teacher_sha256"], got["top1"])
}

// manifests are the committed checkpoints of the demonstration's run in a bucket, oldest first.
func (s *stage) manifests(bucket string) []string { return s.manifestsOf(bucket, "demo-s0") }

func (s *stage) manifestsOf(bucket, run string) []string {
	all, _ := filepath.Glob(filepath.Join(s.buckets, bucket, "runs", run, "manifest", "*.json"))
	return all
}

// begun waits until a run has committed n checkpoints.
func (s *stage) begun(t *testing.T, bucket string, n int) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if len(s.manifests(bucket)) >= n {
			return
		}
	}
	t.Fatalf("%s has %d checkpoints\n%s", bucket, len(s.manifests(bucket)), s.plane.must(t, "get", "pods", "-o", "wide"))
}
