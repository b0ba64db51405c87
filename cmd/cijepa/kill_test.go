package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gomlx/compute"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/cijepa/cijepa/job"
	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/pack"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// asProgram makes the test binary behave as cijepa itself: the tests start real processes without a build of their own.
const asProgram = "TEST_AS_CIJEPA"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// slow marks a test that lets whole runs come to their end, several times.
func slow(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("not with -short")
	}
}

// tinyRun are the settings of a run that takes seconds and has everything: several epochs, windows, all three sampled
// depths, many checkpoints, looks of the online probe, both probes, the kNN.
var tinyRun = []string{
	"CIJEPA_PRESET=demo", "CIJEPA_DATA=tiny", "CIJEPA_RUN=tiny", "CIJEPA_WIDTH=16", "CIJEPA_HEADS=2", "CIJEPA_PREDICTOR_WIDTH=8", "CIJEPA_PREDICTOR_HEADS=1",
	"CIJEPA_EPOCHS=3", "CIJEPA_BATCH=16", "CIJEPA_WINDOW=2", "CIJEPA_PROBE_EPOCHS=1", "CIJEPA_PROBE_BATCH=32", "CIJEPA_KNN_K=5", "CIJEPA_KNN_BANK=0",
	"CIJEPA_SAVE_EVERY=100ms", "CIJEPA_LOG_EVERY=5", "CIJEPA_STOP_DEADLINE=5s", "CIJEPA_BACKEND=go:ops_sequential", "CIJEPA_EVAL_EVERY=2",
}

// packTiny writes 200 training and 50 validation images of five classes into the bucket: noise on a class's pattern.
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
	if err := schema.Validate(instance); err != nil {
		t.Errorf("result.json is not what its schema says: %v", err)
	}
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

// TestKills kills the real program at random moments, SIGKILL and SIGTERM, over as many runs as it takes, and compares
// every one with a run that was left alone. CIJEPA_TEST_KILLS sets the number of kills.
func TestKills(t *testing.T) {
	slow(t)
	kills := killsAsked(t)
	begin := time.Now()
	alone := newBucket(t)
	want := finish(t, alone)
	whole := time.Since(begin)
	if want.Metrics.Updates != 36 || want.Metrics.StateSHA256 == "" || want.Stats.Attempts != 1 || want.Stats.Alarms != 0 {
		t.Fatalf("the run that was left alone is not what it should be: %+v", want.Metrics)
	}
	wantLooks := looks(t, alone)
	if len(wantLooks) != 3+4 { // at the ends of epochs; health also before the first
		t.Fatalf("looks of the online probe and at the health: %v", wantLooks)
	}
	done, runs, phases := 0, 0, map[string]int{}
	for done < kills {
		bucket := newBucket(t)
		runs++
		backend := []string{"go:ops_sequential", "go:parallelism=64"}[runs%2] // they must not differ in a bit
		done += kill(t, bucket, min(10, kills-done), whole, phases, "CIJEPA_BACKEND="+backend)
		got := finish(t, bucket)
		if d := cmp.Diff(want.Metrics, got.Metrics); d != "" {
			t.Fatalf("run %d, after %d kills, differs from the one that was left alone:\n%s", runs, done, d)
		}
		if d := cmp.Diff(wantLooks, looks(t, bucket)); d != "" {
			t.Fatalf("run %d, after %d kills, has other looks than the one that was left alone:\n%s", runs, done, d)
		}
	}
	t.Logf("%d kills over %d runs in %.0f s; last event before each: %v; state %.12s, teacher %.12s", done, runs, time.Since(begin).Seconds(), phases, want.Metrics.StateSHA256, want.Metrics.TeacherSHA256)
}

func killsAsked(t *testing.T) int {
	t.Helper()
	kills := 10
	if v := os.Getenv("CIJEPA_TEST_KILLS"); v != "" {
		var err error
		if kills, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	return kills
}

// kill starts a run again and again and kills it at random moments of the time that it takes, up to most times or until it is
// done first. It counts the kills, and in phases what the program had told of last.
func kill(t *testing.T, bucket string, most int, whole time.Duration, phases map[string]int, more ...string) (done int) {
	t.Helper()
	for range most {
		c, log := start(t, bucket, more...)
		time.Sleep(rand.N(whole))
		signal := []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM}[rand.IntN(2)]
		_ = c.Process.Signal(signal) // it may have ended by itself
		code := wait(t, c)
		phases[lastEvent(log.String())]++
		if code == 0 {
			break // done before the signal came
		}
		done++
		if want := 128 + int(signal); code != want {
			t.Fatalf("exit %d after %v, want %d\n%s", code, signal, want, log)
		}
	}
	return done
}

// TestKillsOverANetwork is TestKills on an S3 server behind a thin line, where every attempt begins with an empty cache: so it
// is also killed in downloads and uploads.
func TestKillsOverANetwork(t *testing.T) {
	slow(t)
	want := finish(t, newBucket(t))
	begin, done, runs, phases := time.Now(), 0, 0, map[string]int{}
	for kills := max(3, killsAsked(t)/5); done < kills; runs++ {
		server := storagetest.Start(t, storagetest.S3, "")
		bucket := server.URLThrough(narrow(t, server.Address, 500e3))
		packTiny(t, server.URL())
		keys := []string{"AWS_ACCESS_KEY_ID=" + os.Getenv("AWS_ACCESS_KEY_ID"), "AWS_SECRET_ACCESS_KEY=" + os.Getenv("AWS_SECRET_ACCESS_KEY")}
		done += kill(t, bucket, min(5, kills-done), 5*time.Second, phases, keys...)
		c, log := start(t, bucket, keys...)
		if code := wait(t, c); code != 0 {
			t.Fatalf("exit %d\n%s", code, log)
		}
		if d := cmp.Diff(want.Metrics, result(t, server.URL()).Metrics); d != "" {
			t.Fatalf("run %d, after %d kills, differs from the one that was left alone:\n%s", runs, done, d)
		}
	}
	t.Logf("%d kills over %d runs in %.0f s; last event before each: %v", done, runs, time.Since(begin).Seconds(), phases)
}

// looks are the figures of the online probe and of the teacher's health, by kind and step. A look that was taken twice must have
// found the same.
func looks(t *testing.T, bucket string) map[string]string {
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
					t.Errorf("%s: looks of %s and %s", at, before, now)
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

// TestStartAgainAfterTheEnd: a finished run is a no-op with exit 0.
func TestStartAgainAfterTheEnd(t *testing.T) {
	bucket := newBucket(t)
	first := finish(t, bucket)
	begin := time.Now()
	second := finish(t, bucket)
	if d := cmp.Diff(first, second); d != "" {
		t.Errorf("the second start changed the result:\n%s", d)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("a finished run took %v", took)
	}
}

// TestExitCodes: what can go wrong, and what the cluster is told.
func TestExitCodes(t *testing.T) {
	bucket := newBucket(t)
	finish(t, bucket)
	for name, text := range map[string]string{"damaged/index.json": "{", "runs/torn/run.json": `{"version":1,`} {
		path := filepath.Join(strings.TrimPrefix(bucket, "file://"), name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte(text), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		more []string
		code int
		says string
	}{
		{"settings", []string{"CIJEPA_HEADS=3", "CIJEPA_EPOCHS=x"}, 64, "CIJEPA_HEADS=3"},
		{"unknown setting", []string{"CIJEPA_EPOCH=3"}, 64, "did you mean CIJEPA_EPOCHS?"},
		{"another recipe", []string{"CIJEPA_SEED=7", "CIJEPA_RUN=begun"}, 64, "this run was begun with 0"},
		{"finished under another recipe", []string{"CIJEPA_SEED=7"}, 64, "this run was begun with 0"},
		{"a grid without room", []string{"CIJEPA_RUN=w", "CIJEPA_PATCH=14"}, 64, "CIJEPA_TARGET_SCALE=0.15,0.2"},
		{"no data", []string{"CIJEPA_DATA=nowhere", "CIJEPA_RUN=x"}, 64, "cijepa pack"},
		{"batch too large", []string{"CIJEPA_BATCH=5000", "CIJEPA_RUN=y"}, 64, "200 images"},
		{"scheme", []string{"CIJEPA_BUCKET=ftp://x"}, 64, "ftp"},
		{"unreachable", []string{"CIJEPA_BUCKET=s3://bucket?endpoint=http://127.0.0.1:1&use_path_style=true&region=x", "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x", "CIJEPA_RETRY_TIMEOUT=2s"}, 75, "unreachable"},
		{"device", []string{"CIJEPA_BACKEND=xla:/no/such/plugin.so", "CIJEPA_RUN=z"}, noPlugin(), "CIJEPA_BACKEND"},
		{"no such device", []string{"CIJEPA_BACKEND=gpu", "CIJEPA_RUN=z"}, 64, "CIJEPA_BACKEND=gpu: must be"},
		{"damaged index", []string{"CIJEPA_DATA=damaged", "CIJEPA_RUN=z"}, 65, "damaged/index.json"},
		{"damaged record", []string{"CIJEPA_RUN=torn"}, 65, "runs/torn/run.json"},
		{"none of these has begun a run", []string{"CIJEPA_RUN=y"}, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "another recipe" { // a run that has begun and not ended
				p, log := start(t, bucket, "CIJEPA_RUN=begun", "CIJEPA_EPOCHS=1000")
				waitFor(t, log, `"msg":"begun"`)
				_ = p.Process.Kill()
				wait(t, p)
			}
			p, log := start(t, bucket, c.more...)
			if code := wait(t, p); code != c.code || !strings.Contains(log.String(), c.says) {
				t.Errorf("exit %d, want %d and %q in\n%s", code, c.code, c.says, log)
			}
		})
	}
}

// noPlugin is the exit code of a backend whose plugin is not there: a program without XLA never has one, with it another machine
// may.
func noPlugin() int {
	if slices.Contains(compute.List(), "xla") {
		return exitUnreachable
	}
	return exitSettings
}

// TestExitCodeOfErrors: the code of every kind of error, alone and in the company of others.
func TestExitCodeOfErrors(t *testing.T) {
	wrapped := func(err error) error { return fmt.Errorf("in the middle of it: %w", err) }
	for _, c := range []struct {
		err  error
		code int
	}{
		{nil, 0}, {errors.New("anything"), 1},
		{wrapped(&settings.Error{}), 64}, {wrapped(errUsage), 64}, {errors.Join(storage.ErrUnreachable, &settings.Error{}), 64},
		{wrapped(storage.ErrCorrupt), 65}, {wrapped(input.ErrBadSamples), 65},
		{wrapped(storage.ErrUnreachable), 75}, {wrapped(storage.ErrDenied), 75}, {wrapped(&machine.DeviceError{Err: errors.New("gone")}), 75},
		{wrapped(storage.ErrOvertaken), 76}, {errors.Join(storage.ErrCorrupt, storage.ErrOvertaken), 76},
		{wrapped(job.Stop{}), 143}, {errors.Join(&settings.Error{}, job.ErrStopped), 143},
	} {
		if got := exitCode(c.err); got != c.code {
			t.Errorf("%v: exit %d, want %d", c.err, got, c.code)
		}
	}
}

// TestOvertaken: of two processes of one run the one that commits later than the other stops, with a code of its own, and the
// run comes to the same end.
func TestOvertaken(t *testing.T) {
	slow(t)
	const longer = "CIJEPA_EPOCHS=12"
	alone, bucket := newBucket(t), newBucket(t)
	quiet, log := start(t, alone, longer)
	if code := wait(t, quiet); code != 0 {
		t.Fatalf("exit %d\n%s", code, log)
	}
	first, log := start(t, bucket, longer)
	waitFor(t, log, `"msg":"saved"`)
	signal := func(s syscall.Signal) {
		if err := first.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP) // as a pod on a machine that nobody can reach
	second, log2 := start(t, bucket, longer)
	waitFor(t, log2, `"msg":"saved"`)
	signal(syscall.SIGCONT)
	if code := wait(t, first); code != 76 {
		t.Errorf("exit %d, want 76\n%s", code, log)
	}
	if code := wait(t, second); code != 0 {
		t.Fatalf("exit %d\n%s", code, log2)
	}
	if d := cmp.Diff(result(t, alone).Metrics, result(t, bucket).Metrics); d != "" {
		t.Errorf("the run ended otherwise:\n%s", d)
	}
	ends, err := filepath.Glob(filepath.Join(strings.TrimPrefix(bucket, "file://"), "runs/tiny/metrics/attempt-*-000*.jsonl"))
	if err != nil || len(ends) != 3 { // two beginnings
		t.Errorf("of two attempts, one overtaken, there are the lines %v: %v", ends, err)
	}
}

// TestStopsInTimeWhateverItIsAt: a device that does not come back in time, here one at a step of half a minute, does not keep
// the process.
func TestStopsInTimeWhateverItIsAt(t *testing.T) {
	slow(t)
	p, log := start(t, newBucket(t), "CIJEPA_BATCH=200", "CIJEPA_WIDTH=256", "CIJEPA_HEADS=4", "CIJEPA_EVAL_EVERY=0", "CIJEPA_STOP_DEADLINE=1s")
	waitFor(t, log, `"msg":"epoch"`)
	time.Sleep(time.Second) // into the first step
	begin := time.Now()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	code := wait(t, p)
	if took := time.Since(begin); code != 143 || took > 10*time.Second || !strings.Contains(log.String(), "something did not stop in time") {
		t.Errorf("exit %d after %v\n%s", code, took, log)
	}
}

func waitFor(t *testing.T, log fmt.Stringer, text string) {
	t.Helper()
	for range 1200 { // a minute: two busy cores are slow
		if strings.Contains(log.String(), text) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("no %q in\n%s", text, log)
}

// TestStopInEveryPhase: wherever SIGTERM comes, and however often, the process is gone soon with 143, nothing that was
// computed is lost when the save fits, and the run ends as if nothing had been.
func TestStopInEveryPhase(t *testing.T) {
	slow(t)
	want := finish(t, newBucket(t))
	for _, event := range []string{
		`"msg":"opened"`, `"msg":"begun"`, `"msg":"compiled"`, `"msg":"step"`, `"msg":"saved","run":"tiny","phase":"pretrain"`, `"msg":"epoch","run":"tiny","epoch":2`, `"msg":"online probe"`, `"phase":"pretrain","step":36`,
		`"phase":"probe","step":5`, `"msg":"saved","run":"tiny","phase":"probe","step":7`,
	} {
		bucket := newBucket(t)
		c, log := start(t, bucket)
		waitFor(t, log, event)
		begin := time.Now()
		_ = c.Process.Signal(syscall.SIGTERM)
		time.Sleep(5 * time.Millisecond)
		_ = c.Process.Signal(syscall.SIGTERM)
		code := wait(t, c)
		took := time.Since(begin)
		if code == 0 && strings.Contains(log.String(), `"msg":"done"`) {
			t.Logf("after %s: done before the signal", event)
		} else if code != 143 || took > 10*time.Second {
			t.Errorf("after %s: exit %d after %v\n%s", event, code, took, log)
		} else if event != `"msg":"opened"` && !strings.Contains(lastAttempt(t, bucket), `"how":"stopped"`) { // before that there is no run
			t.Errorf("after %s: the end is not on record\n%s", event, log)
		}
		var line struct {
			Msg  string
			Lost *int64
		}
		for text := range strings.Lines(log.String()) {
			if json.Unmarshal([]byte(text), &line) == nil && line.Msg == "stopped" && (line.Lost == nil || *line.Lost != 0) {
				t.Errorf("after %s: steps were lost: %s", event, text)
			}
		}
		if d := cmp.Diff(want.Metrics, finish(t, bucket).Metrics); d != "" {
			t.Errorf("after %s: the run ended otherwise:\n%s", event, d)
		}
	}
}

// TestRunOutlivesItsReader: a run whose log nobody reads any more goes on to its end, and one whose terminal goes away stops as for SIGTERM.
func TestRunOutlivesItsReader(t *testing.T) {
	slow(t)
	want := finish(t, newBucket(t))
	bucket := newBucket(t)
	c := child(t, bucket)
	log, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if strings.Contains(lines.Text(), `"msg":"step"`) {
			break
		}
	}
	log.Close()
	if code := wait(t, c); code != 0 {
		t.Errorf("exit %d of a run whose log was closed", code)
	}
	if d := cmp.Diff(want.Metrics, result(t, bucket).Metrics); d != "" {
		t.Errorf("the run ended otherwise:\n%s", d)
	}

	bucket = newBucket(t)
	c, words := start(t, bucket)
	waitFor(t, words, `"msg":"step"`)
	if err := c.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if code := wait(t, c); code != 143 || !strings.Contains(words.String(), `"lost":0`) {
		t.Errorf("exit %d of a run whose terminal is gone:\n%s", code, words)
	}
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

// TestDeadlineTooShort: a stop that leaves no time to save costs the steps since the last checkpoint and nothing else.
func TestDeadlineTooShort(t *testing.T) {
	slow(t)
	want := finish(t, newBucket(t))
	bucket := newBucket(t)
	c, log := start(t, bucket, "CIJEPA_STOP_DEADLINE=0s", "CIJEPA_SAVE_EVERY=1h")
	waitFor(t, log, `"step":10`)
	_ = c.Process.Signal(syscall.SIGTERM)
	if code := wait(t, c); code != 143 {
		t.Fatalf("exit %d\n%s", code, log)
	}
	if !strings.Contains(log.String(), `"saved":0`) {
		t.Errorf("the log does not tell what was lost:\n%s", log)
	}
	if d := cmp.Diff(want.Metrics, finish(t, bucket).Metrics); d != "" {
		t.Errorf("the run ended otherwise:\n%s", d)
	}
}

// TestDamagedCheckpoint: one flipped bit in the newest checkpoint, in the header or the data of a part, costs the steps
// since the one before it, is counted, and changes nothing else.
func TestDamagedCheckpoint(t *testing.T) {
	slow(t)
	want := finish(t, newBucket(t))
	for _, damage := range []struct {
		phase, part string
		at          int
	}{
		{"pretrain", "student.safetensors", 5}, {"pretrain", "teacher.safetensors", 20}, {"pretrain", "predictor-01.safetensors", 20000},
		{"pretrain", "progress.json", 1}, {"probe", "trained-probe.safetensors", 20}, {"probe", "teacher.safetensors", 5},
	} {
		bucket := newBucket(t)
		c, log := start(t, bucket)
		waitFor(t, log, `"msg":"saved","run":"tiny","phase":"`+damage.phase+`"`)
		_ = c.Process.Signal(syscall.SIGTERM)
		wait(t, c)
		parts, err := filepath.Glob(strings.TrimPrefix(bucket, "file://") + "/runs/tiny/state/" + damage.phase + "-*/" + damage.part)
		if err != nil || len(parts) == 0 {
			t.Fatalf("no part %s of %s in %s: %v\n%s", damage.part, damage.phase, bucket, err, log)
		}
		newest := slices.Max(parts)
		data, err := os.ReadFile(newest)
		if err != nil {
			t.Fatal(err)
		}
		data[damage.at%len(data)] ^= 1
		if err := os.WriteFile(newest, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(log.String(), `"msg":"done"`) {
			continue // too late: nothing reads the checkpoint any more
		}
		got := finish(t, bucket)
		if d := cmp.Diff(want.Metrics, got.Metrics); d != "" || got.Stats.Fallbacks != 1 {
			t.Errorf("%+v: %d damaged checkpoints counted, want 1; figures:\n%s", damage, got.Stats.Fallbacks, d)
		}
	}
}

// TestHopelessRunEndsThoughItIsPreempted: updates without a finite gradient count through stops and kills, so that a run
// that is never left alone for long enough to reach the limit still ends with the reason.
func TestHopelessRunEndsThoughItIsPreempted(t *testing.T) {
	bucket := newBucket(t)
	for attempt := range 10 {
		c, log := start(t, bucket, "CIJEPA_EPOCHS=100", "CIJEPA_PEAK_LR=100", "CIJEPA_START_RATE=100", "CIJEPA_WEIGHT_DECAY=1e30", "CIJEPA_LOG_EVERY=1", "CIJEPA_SAVE_EVERY=1ms")
		for range 3000 {
			if strings.Count(log.String(), `"msg":"step"`) >= 8 || strings.Contains(log.String(), `"msg":"ended"`) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		_ = c.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		if code := wait(t, c); code != 143 {
			if code != 1 || attempt < 2 || !strings.Contains(log.String(), "20 updates in a row without a finite gradient") {
				t.Errorf("attempt %d: exit %d\n%s", attempt, code, log)
			}
			return
		}
	}
	t.Error("ten attempts of eight updates, and it goes on")
}
