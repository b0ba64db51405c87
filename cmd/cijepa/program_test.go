package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cijepa/cijepa/job/machine/machinetest"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/pack"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// asProgram makes the test binary behave as cijepa itself: the tests start real processes without a
// build of their own.
const asProgram = "TEST_AS_CIJEPA"

// asked holds the variables that ask for slow tests, and the interpreter of some. The program would
// refuse them as settings.
var asked = map[string]string{}

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	for _, entry := range os.Environ() {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "CIJEPA_TEST_") || name == "CIJEPA_PYTHON" {
			asked[name] = value
		}
	}
	machinetest.UnsetSettings()
	flag.Set("test.parallel", "6") // they mostly wait for their children
	code := m.Run()
	if undisturbed.folder != "" {
		os.RemoveAll(undisturbed.folder)
	}
	os.Exit(code)
}

// slow marks a test that runs the program to its end several times. Continuous integration asks for
// these by name.
func slow(t *testing.T) {
	t.Helper()
	if !slowAsked() {
		t.Skip("only with CIJEPA_TEST_SLOW=1")
	}
}

func slowAsked() bool { return asked["CIJEPA_TEST_SLOW"] != "" }

// patience limits every wait for a child: a test machine may be eight times as busy as this one.
const patience = 5 * time.Minute

// undisturbed is the run that all others are compared with. The first test that needs it runs it.
var undisturbed struct {
	sync.Once
	folder string
	result settings.Result
	took   time.Duration
}

// alone returns the result of the undisturbed run and the bucket that it lies in.
func alone(t *testing.T) (settings.Result, string) {
	t.Helper()
	undisturbed.Do(func() {
		var err error
		if undisturbed.folder, err = os.MkdirTemp("", "cijepa-alone-"); err != nil {
			t.Fatal(err)
		}
		begin, bucket := time.Now(), "file://"+filepath.ToSlash(undisturbed.folder)
		packTiny(t, bucket)
		undisturbed.result = finish(t, bucket)
		undisturbed.took = time.Since(begin)
	})
	if undisturbed.took == 0 {
		t.Fatal("the undisturbed run has failed in another test")
	}
	return undisturbed.result, "file://" + filepath.ToSlash(undisturbed.folder)
}

// same compares the metrics of a run with the undisturbed run's.
func same(t *testing.T, what string, got settings.Result) {
	t.Helper()
	want, _ := alone(t)
	if d := cmp.Diff(want.Metrics, got.Metrics) + cmp.Diff(want.Predictions, got.Predictions) + cmp.Diff(want.Pictures, got.Pictures); d != "" {
		t.Fatalf("%s: the run ended otherwise:\n%s", what, d)
	}
}

// tinyRun are the settings of a run that takes seconds and has everything: several epochs, windows,
// all three sampled depths, many checkpoints, looks of the online probe, both probes, the kNN.
var tinyRun = []string{
	"CIJEPA_PRESET=demo", "CIJEPA_DATA=tiny", "CIJEPA_RUN=tiny", "CIJEPA_WIDTH=16", "CIJEPA_HEADS=2", "CIJEPA_PREDICTOR_WIDTH=8", "CIJEPA_PREDICTOR_HEADS=1",
	"CIJEPA_EPOCHS=3", "CIJEPA_BATCH=16", "CIJEPA_WINDOW=2", "CIJEPA_PROBE_EPOCHS=1", "CIJEPA_PROBE_BATCH=32", "CIJEPA_KNN_K=5", "CIJEPA_KNN_BANK=0",
	"CIJEPA_SAVE_EVERY=100ms", "CIJEPA_LOG_EVERY=5", "CIJEPA_STOP_GRACE=8s", "CIJEPA_BACKEND=go:ops_sequential", "CIJEPA_EVAL_EVERY=2",
}

// packTiny writes 200 training and 50 validation images of five classes into the bucket: noise on a
// class's pattern.
func packTiny(t *testing.T, bucket string) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	split := func(name string, n int) pack.IDX {
		images := binary.BigEndian.AppendUint32(nil, 0x803)
		labels := binary.BigEndian.AppendUint32(nil, 0x801)
		for _, d := range []int{n, 28, 28} {
			images = binary.BigEndian.AppendUint32(images, uint32(d))
		}
		labels = binary.BigEndian.AppendUint32(labels, uint32(n))
		for i := range n {
			labels = append(labels, byte(i%5))
			for p := range 28 * 28 {
				images = append(images, byte(((p/28)*(i%5+1)*9+(p%28)*(i%5)*7)%128+r.IntN(128)))
			}
		}
		return pack.IDX{Split: name, Images: bytes.NewReader(images), Labels: bytes.NewReader(labels)}
	}
	source, err := pack.FromIDX(nil, split("train", 200), split("val", 50))
	if err != nil {
		t.Fatal(err)
	}
	b, err := storage.Open(t.Context(), bucket, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, _, err := pack.Pack(t.Context(), source, b, "tiny", pack.PackOptions{PerShard: 40}); err != nil {
		t.Fatal(err)
	}
}

// newBucket is an empty file:// bucket with the tiny data in it.
func newBucket(t *testing.T) string {
	t.Helper()
	bucket := "file://" + filepath.ToSlash(t.TempDir())
	packTiny(t, bucket)
	return bucket
}

// start begins a child process that runs cijepa with the settings of the tiny run and some more.
func start(t *testing.T, bucket string, more ...string) (*exec.Cmd, *output) {
	t.Helper()
	c := child(t, bucket, more...)
	log := new(output)
	c.Stderr = log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c, log
}

// child is that process before it begins.
func child(t *testing.T, bucket string, more ...string) *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(append([]string{asProgram + "=1", "CIJEPA_BUCKET=" + bucket, "CIJEPA_CACHE_DIR=" + t.TempDir(), "HOME=" + t.TempDir()}, tinyRun...), more...)
	return c
}

// output is what a child has printed so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// wait gives the exit code of a child; 128 and the signal's number for one that a signal ended.
func wait(t *testing.T, c *exec.Cmd) int {
	t.Helper()
	err := c.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if status := c.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal())
	}
	return c.ProcessState.ExitCode()
}

// finish runs the job to its end and returns the result.
func finish(t *testing.T, bucket string) settings.Result {
	t.Helper()
	c, log := start(t, bucket)
	if code := wait(t, c); code != 0 {
		t.Fatalf("exit %d\n%s", code, log)
	}
	return result(t, bucket)
}

func result(t *testing.T, bucket string) settings.Result {
	t.Helper()
	b, err := storage.Open(t.Context(), bucket, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	text, err := b.Get(t.Context(), "runs/tiny/result.json")
	if err != nil {
		t.Fatal(err)
	}
	var r settings.Result
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	checkTeacher(t, b, r)
	checkPredictions(t, b, "runs/tiny/result.json", r)
	checkSchema(t, text)
	for _, spent := range [][2]float64{{r.Stats.PretrainSeconds, r.Stats.PretrainDevice}, {r.Stats.ProbeSeconds, r.Stats.ProbeDevice}, {r.Stats.ScoreSeconds, r.Stats.ScoreDevice}} {
		if wall, device := spent[0], spent[1]; device <= 0 || device > wall {
			t.Errorf("%v s of a phase's %v s on the device", device, wall)
		}
	}
	return r
}

// checkSchema validates a result against the schema that ships beside the code.
func checkSchema(t *testing.T, text []byte) {
	t.Helper()
	if err := validateResult(t, text); err != nil {
		t.Errorf("result.json is not what its schema says: %v", err)
	}
}

// TestSchemaTiesScoresToLabels: a result has all scores, or on data without labels none.
func TestSchemaTiesScoresToLabels(t *testing.T) {
	sum, scores := strings.Repeat("0", 64), `"top1":1,"top5":1,"top1_standard_error":1,"untrained_top1":1,"knn_top1":null,"untrained_knn_top1":null,`+
		`"depths":[{"depth":0,"top1":1,"top5":1,"untrained_top1":1}],`
	for _, c := range []struct {
		classes int
		scores  string
		fits    bool
	}{{10, scores, true}, {0, "", true}, {10, "", false}, {0, scores, false}, {10, `"top1":1,`, false}} {
		text := fmt.Sprintf(`{"version":2,"run":"r","preset":"demo","recipe":{"Data":"d","Seed":0,"Epochs":1,"Depths":[0],"Batch":1},`+
			`"data":{"fingerprint":%[1]q,"classes":%[2]d,"classes_sha256":%[1]q,"train_samples":1,"validation_samples":0},`+
			`"metrics":{%[3]s"loss":1,"table":[],"updates":1,"pathway_updates":[],"skipped_updates":0,"teacher_sha256":%[1]q,"state_sha256":%[1]q},`+
			`"post_top1":null,"stats":{"begun":"2026-01-01T00:00:00Z","ended":"2026-01-01T00:00:00Z","attempts":1,"damaged_checkpoints":0,"pretrain_seconds":1,`+
			`"pretrain_device_seconds":1,"probe_seconds":0,"probe_device_seconds":0,"score_seconds":0,"score_device_seconds":0,"images_per_second":1,"data_wait":0,`+
			`"bad_samples":0,"alarms":0,"updates_lost":0,"environments":["e"],"mfu":null,"device_memory_bytes":0,"machine_seconds":1,"cost":null},`+
			`"versions":{"program":"p","go":"g","gomlx":"g","compute":"c","go_xla":"x"},"device":"d","sha256":%[1]q}`, sum, c.classes, c.scores)
		if err := validateResult(t, []byte(text)); (err == nil) != c.fits {
			t.Errorf("%d classes and scores %q: %v", c.classes, c.scores, err)
		}
	}
}

// validateResult says in what a result is not as its schema wants it.
func validateResult(t *testing.T, text []byte) error {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema, err := compiler.Compile("../../job/result.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(instance)
}

// checkTeacher compares teacher.safetensors with the checksum in the result.
func checkTeacher(t *testing.T, b *storage.Bucket, r settings.Result) {
	t.Helper()
	text, err := b.Get(context.Background(), "runs/tiny/teacher.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	reader, err := b.Read(context.Background(), storage.Object{Key: "runs/tiny/teacher.safetensors", Size: int64(len(text)), SHA256: r.Metrics.TeacherSHA256})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if _, err := io.Copy(io.Discard, reader); err != nil {
		t.Error(err)
	}
}

// evaluations are the lines of the online evaluation and of the teacher's health, by kind and step.
// One that was taken twice must have the same figures.
func evaluations(t *testing.T, bucket string) map[string]string {
	t.Helper()
	b, err := storage.Open(t.Context(), bucket, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	found := map[string]string{}
	for _, kind := range []string{record.Evals, record.Healths} {
		keys, err := b.List(t.Context(), "runs/tiny/metrics/"+kind+"-")
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			text, err := b.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				var figures map[string]any
				if err := json.Unmarshal([]byte(line), &figures); err != nil {
					t.Fatal(err)
				}
				delete(figures, "seconds")
				delete(figures, "solving_seconds")
				at, now := fmt.Sprintf("%s at %v", kind, figures["step"]), fmt.Sprint(figures)
				if before, again := found[at]; again && before != now {
					t.Errorf("%s: figures %s and %s", at, before, now)
				}
				found[at] = now
			}
		}
	}
	return found
}

// lastEvent is the message of the last line of a child's log.
func lastEvent(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	var line struct{ Msg, Phase string }
	if json.Unmarshal([]byte(lines[len(lines)-1]), &line) != nil {
		return "nothing"
	}
	return strings.TrimSpace(line.Msg + " " + line.Phase)
}

func waitFor(t *testing.T, log fmt.Stringer, text string) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < patience; {
		if strings.Contains(log.String(), text) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("no %q in\n%s", text, log)
}

// lastAttempt is the newest line that an attempt has written of itself.
func lastAttempt(t *testing.T, bucket string) string {
	t.Helper()
	lines, err := filepath.Glob(filepath.Join(strings.TrimPrefix(bucket, "file://"), "runs/tiny/metrics/attempt-*.jsonl"))
	if err != nil || len(lines) == 0 {
		t.Fatalf("no line of an attempt: %v", err)
	}
	text, err := os.ReadFile(lines[len(lines)-1])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// narrow is a line to a server that carries a number of bytes a second up, and as many down, over
// all its connections: toxiproxy's limit holds for each of them, and uploads use several.
func narrow(t *testing.T, address string, rate float64) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	up, down := &pacer{rate: rate}, &pacer{rate: rate}
	go func() { // ends with the listener
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", address)
			if err != nil {
				client.Close()
				continue
			}
			carry := func(to, from net.Conn, p *pacer) {
				_, _ = io.CopyBuffer(struct{ io.Writer }{to}, paced{from, p}, make([]byte, 64<<10)) // a cut line ends it
				to.Close()
				from.Close()
			}
			go carry(server, client, up)
			go carry(client, server, down)
		}
	}()
	return listener.Addr().String()
}

// pacer lets bytes pass at a rate.
type pacer struct {
	rate float64 // bytes a second
	mu   sync.Mutex
	free time.Time // guarded by mu: when the line has carried what it has
}

func (p *pacer) pass(n int) {
	p.mu.Lock()
	if now := time.Now(); p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
	wait := time.Until(p.free)
	p.mu.Unlock()
	time.Sleep(wait)
}

// paced is one end of the line.
type paced struct {
	io.Reader
	pacer *pacer
}

func (r paced) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.pacer.pass(n)
	return n, err
}
