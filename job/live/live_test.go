package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/record"
)

func number(v float64) *float64 { return &v }

// filled is a View with every kind of report of a run.
func filled() (*View, Options) {
	v := new(View)
	v.Doing("compiling")
	v.Transferred(1000, 20)
	v.Before(&history.Run{Name: "r", Attempts: make([]history.Attempt, 3)})
	v.Stepped("pretrain", 40, 100)
	v.Stepped("pretrain", 41, 100)
	v.Stepped("pretrain", 42, 100)
	v.Line(record.Health{
		Step: 40, Depths: []int{1, 11}, Std: []*float64{number(0.5), number(0.25)},
		Rank: []*float64{number(30), nil}, RMS: []*float64{number(1), number(2)},
	})
	v.Line(record.Step{
		Phase: "pretrain", Step: 42, Epoch: 1.5, Loss: number(0.75), LR: 5e-4, EMAMomentum: 0.996,
		ImagesPerSecond: 1500, DataWait: 0.01, MFU: number(0.375), DeviceMemory: number(3.4e10), Cost: number(12.5), Skipped: 1, Bad: 2, Updates: []int64{7, 42},
		Table: [][]*float64{{number(0.9), number(0.8)}, {nil, number(0.7)}},
	})
	v.Line(record.Eval{ProbeTop1: 41, KNNTop1: number(40)})
	v.Line(record.Alarm{Alarm: "collapse"})
	v.Line(record.Alarm{Alarm: "collapse"})
	v.Line(record.Alarm{Alarm: "residual"})
	v.Saved("pretrain", 40, 5000, 2*time.Second)
	v.Saved("pretrain", 42, 5000, time.Second)
	v.SaveFailed()
	v.Stepped("probe", 0, 10)
	v.Stepped("probe", 1, 10)
	v.Line(record.Step{Phase: "probe", Step: 1, Epoch: 0.1, Loss: number(4.6), LR: 3e-3, ImagesPerSecond: 900, DataWait: 0.5})
	return v, Options{
		Run: "r", Preset: "demo", Depths: []int{1, 11},
		Versions: record.Versions{Program: "v1", Commit: "c", Go: "go1", GoMLX: "g", Compute: "c", GoXLA: "x"},
		Limit:    time.Minute, Log: slog.New(slog.DiscardHandler),
	}
}

// TestEveryNumberOfARunIsAMetric, under a name that promlint accepts.
func TestEveryNumberOfARunIsAMetric(t *testing.T) {
	v, o := filled()
	problems, err := testutil.GatherAndLint(v.registry(o))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	got := get(t, v.handler(o), "/metrics", http.StatusOK)
	for _, want := range []string{
		`cijepa_build_info{commit="c",compute_version="c",go_version="go1",go_xla_version="x",gomlx_version="g",version="v1"} 1`,
		`cijepa_run_info{preset="demo",run="r"} 1`,
		`cijepa_attempts 3`,
		`cijepa_bucket_read_bytes_total 1000`, `cijepa_bucket_written_bytes_total 20`,
		`cijepa_steps_done{phase="pretrain"} 42`, `cijepa_steps_planned{phase="pretrain"} 100`, `cijepa_steps_computed_total{phase="pretrain"} 2`,
		`cijepa_steps_done{phase="probe"} 1`,
		`cijepa_epoch{phase="pretrain"} 1.5`, `cijepa_loss{phase="pretrain"} 0.75`, `cijepa_loss{phase="probe"} 4.6`,
		`cijepa_learning_rate{phase="pretrain"} 0.0005`, `cijepa_ema_momentum 0.996`,
		`cijepa_images_per_second{phase="pretrain"} 1500`, `cijepa_data_wait_ratio{phase="pretrain"} 0.01`,
		`cijepa_mfu_ratio 0.375`, `cijepa_device_memory_peak_bytes{phase="pretrain"} 3.4e+10`, `cijepa_cost{phase="pretrain"} 12.5`,
		`cijepa_skipped_updates_total 1`, `cijepa_bad_samples_total 2`,
		`cijepa_pathway_updates_total{source="1"} 7`, `cijepa_pathway_updates_total{source="11"} 42`,
		`cijepa_table_mse{source="1",target="11"} 0.8`, `cijepa_table_mse{source="11",target="11"} 0.7`,
		`cijepa_feature_std{depth="11"} 0.25`, `cijepa_effective_rank{depth="1"} 30`, `cijepa_residual_rms{depth="11"} 2`,
		`cijepa_eval_probe_top1_ratio 0.41`, `cijepa_eval_knn_top1_ratio 0.4`,
		`cijepa_alarms_total{alarm="collapse"} 2`, `cijepa_alarms_total{alarm="residual"} 1`,
		`cijepa_checkpoints_saved_total 2`, `cijepa_checkpoints_failed_total 1`, `cijepa_checkpoint_saved_bytes_total 10000`,
		`cijepa_checkpoint_save_seconds_total 3`, `cijepa_checkpoint_step{phase="pretrain"} 42`,
		`go_goroutines `, `process_cpu_seconds_total `,
	} {
		if !strings.Contains("\n"+got, "\n"+want) {
			t.Errorf("no line %s", want)
		}
	}
	for _, not := range []string{`cijepa_effective_rank{depth="11"}`, `cijepa_table_mse{source="11",target="1"}`} {
		if strings.Contains(got, not) {
			t.Errorf("%s is not known and is shown", not)
		}
	}
	if strings.Contains(get(t, new(View).handler(o), "/metrics", http.StatusOK), "cijepa_loss") {
		t.Error("a run that has not begun has a loss")
	}
}

// TestHealthFailsWithoutProgress: each kind of progress restarts the limit, and nothing else does.
func TestHealthFailsWithoutProgress(t *testing.T) {
	kinds := map[string]func(*View){
		"a stage":      func(v *View) { v.Doing("opening the data") },
		"a part":       (*View).Moved,
		"a step":       func(v *View) { v.Stepped("pretrain", 7, 100) },
		"a byte in":    func(v *View) { v.Transferred(1, 0) },
		"a byte out":   func(v *View) { v.Transferred(0, 1) },
		"a checkpoint": func(v *View) { v.Saved("pretrain", 7, 1, time.Second) },
		"a failure":    func(v *View) { v.SaveFailed() },
	}
	for name, progress := range kinds {
		synctest.Test(t, func(t *testing.T) {
			v := new(View)
			v.Doing("compiling")
			h := v.handler(Options{Limit: time.Minute, Log: slog.New(slog.DiscardHandler)})
			time.Sleep(time.Minute)
			get(t, h, "/healthz", http.StatusOK)
			progress(v)
			time.Sleep(time.Minute)
			get(t, h, "/healthz", http.StatusOK)
			time.Sleep(time.Second)
			v.Line(record.Alarm{Alarm: "collapse"})
			v.Before(&history.Run{})
			got := get(t, h, "/healthz", http.StatusServiceUnavailable)
			if !strings.HasPrefix(got, "no progress for 1m1s") {
				t.Errorf("after %s: %s", name, got)
			}
			if name == "a step" && !strings.Contains(got, "pretrain, update 7 of 100") {
				t.Errorf("it does not say where: %s", got)
			}
			progress(v)
			get(t, h, "/healthz", http.StatusOK)
		})
	}
}

// TestWatchEndsARunThatHangs, also before its first report, and no other.
func TestWatchEndsARunThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, moves := range []int{0, 1, 200} {
			v, done, start := new(View), make(chan error, 1), time.Now()
			go func() { done <- v.Watch(t.Context(), time.Minute) }()
			for i := range moves {
				time.Sleep(59 * time.Second)
				v.Stepped("pretrain", int64(i), 300)
			}
			last := time.Since(start)
			err := <-done
			if still := time.Since(start) - last; still < time.Minute || still > 63*time.Second {
				t.Errorf("after %d steps a minute apart the hang is told %s after the last", moves, still)
			}
			if moves > 0 && !strings.Contains(err.Error(), fmt.Sprintf("it hangs in: pretrain, update %d of 300", moves-1)) {
				t.Errorf("it does not say where: %v", err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := new(View).Watch(ctx, time.Minute); !errors.Is(err, context.Canceled) {
			t.Errorf("watched to its end: %v", err)
		}
	})
}

// TestOnlyAHungRunFailsItsProbe: where nobody listens, or another program does, the run may be
// healthy.
func TestOnlyAHungRunFailsItsProbe(t *testing.T) {
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	v, limit := new(View), 300*time.Millisecond
	stop := v.Serve(listener, Options{Limit: limit, Log: slog.New(slog.DiscardHandler)})
	if err := Ask(t.Context(), ":"+port); err != nil {
		t.Errorf("a run that moves: %v", err)
	}
	time.Sleep(2 * limit)
	for _, address := range []string{":" + port, "0.0.0.0:" + port, "127.0.0.1:" + port} {
		if err := Ask(t.Context(), address); err == nil || !strings.HasPrefix(err.Error(), "no progress for") {
			t.Errorf("%s: a run that hangs: %v", address, err)
		}
	}
	stop()
	for _, address := range []string{":" + port, ":0", "no-such-host.invalid:9090"} {
		if err := Ask(t.Context(), address); err != nil {
			t.Errorf("%s: nobody listens there: %v", address, err)
		}
	}
	stranger := httptest.NewServer(http.NotFoundHandler())
	defer stranger.Close()
	if err := Ask(t.Context(), stranger.Listener.Addr().String()); err != nil {
		t.Errorf("another program has the port: %v", err)
	}
}

// TestSilenceFailsTheProbe: a process that takes connections and never answers has hung.
func TestSilenceFailsTheProbe(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := Ask(ctx, listener.Addr().String()); err == nil || !strings.Contains(err.Error(), "has not answered") {
		t.Errorf("asked in vain: %v", err)
	}
}

// TestHealthFailsBeforeTheFirstReport of a run that hangs.
func TestHealthFailsBeforeTheFirstReport(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v, o := new(View), Options{Limit: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
	defer v.Serve(listener, o)()
	get(t, v.handler(o), "/healthz", http.StatusOK)
	time.Sleep(2 * o.Limit)
	get(t, v.handler(o), "/healthz", http.StatusServiceUnavailable)
}

// TestPageShowsEarlierAttemptsAndThisOne: all their charts, each with its text, and how far the run
// is. There is a page also without earlier attempts, and before the first line.
func TestPageShowsEarlierAttemptsAndThisOne(t *testing.T) {
	v, o := filled()
	v.Before(&history.Run{
		Name: "r", Attempts: []history.Attempt{{Name: "a", Phase: "pretrain"}},
		Record: history.RunRecord{Recipe: history.Recipe{"Depths": []byte("[1,11]")}},
		Steps: []record.Step{
			{Phase: "pretrain", Step: 20, Epoch: 0.5, Loss: number(0.9), Table: [][]*float64{{number(1), number(1)}, {number(1), number(1)}}},
			{Phase: "pretrain", Step: 42, Epoch: 1.5, Loss: number(98765)},
		},
		Health: []record.Health{{
			Step: 20, Depths: []int{1, 11}, Std: []*float64{number(0.6), number(0.6)},
			Rank: []*float64{number(9), number(9)}, RMS: []*float64{number(1), number(1)},
		}},
	})
	page := get(t, v.handler(o), "/", http.StatusOK)
	for _, want := range []string{
		"probe, update 1 of 10", "Loss. loss over epoch: a line from 0.9 at 0.5 to 0.75 at 1.5.", "Learning rate. ", "Throughput. ", "Waiting for images. ",
		"Effective rank of the teacher&#39;s features. ", "Standard deviation of the teacher&#39;s features. ", "Residual stream. ", "Online probe and kNN. ", "Loss of the linear probe. ",
		`class="heat" aria-label="Error by source and target depth. `, `"epoch":1.5`, "Attempts over ", "<progress ",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "98765") {
		t.Error("what an earlier attempt wrote of an update stands where this one has written of it")
	}
	v, o = filled()
	v.Before(nil)
	if page := get(t, v.handler(o), "/", http.StatusOK); !strings.Contains(page, "<svg ") || !strings.Contains(page, "cI-JEPA run r") {
		t.Error("without anything of earlier attempts there is no page")
	}
	if page := get(t, new(View).handler(o), "/", http.StatusOK); strings.Contains(page, "<svg ") || !strings.Contains(page, "beginning") {
		t.Error("before the first line there is no page, or it has charts")
	}
}

// TestRequestsAreNoProgress: whoever watches a run that hangs does not hide that.
func TestRequestsAreNoProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, o := filled()
		h := v.handler(o)
		time.Sleep(o.Limit + time.Second)
		for _, path := range []string{"/", "/metrics"} {
			get(t, h, path, http.StatusOK)
		}
		get(t, h, "/healthz", http.StatusServiceUnavailable)
	})
}

// TestDownsampledLinesAreEvenlySpaced, in order, with the newest, and what a reader holds does not
// change.
func TestDownsampledLinesAreEvenlySpaced(t *testing.T) {
	var held downsampled[int]
	var at []int
	for i := range 10*maxLines + 7 {
		before := held
		held = held.with(i)
		if *held.newest() != i || len(held.lines) > maxLines {
			t.Fatalf("after %d the newest is %d of %d", i, *held.newest(), len(held.lines))
		}
		if i == 3*maxLines+1 {
			at = before.lines
		}
	}
	widest := 0
	for i := 1; i < len(held.lines)-1; i++ {
		widest = max(widest, held.lines[i]-held.lines[i-1])
	}
	if held.lines[0] != 0 || widest != held.stride || len(held.lines) < maxLines/2 {
		t.Errorf("%d lines, at most %d apart, with a stride of %d", len(held.lines), widest, held.stride)
	}
	if at[len(at)-1] != 3*maxLines || !slices.IsSorted(at) {
		t.Errorf("what a reader held has become %d at its end", at[len(at)-1])
	}
}

// TestNoStepWaitsForAReader. It is for the race detector too.
func TestNoStepWaitsForAReader(t *testing.T) {
	v, o := filled()
	h := v.handler(o)
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for _, path := range []string{"/metrics", "/metrics", "/healthz", "/"} {
		readers.Go(func() {
			for ctx.Err() == nil {
				get(t, h, path, http.StatusOK)
			}
		})
	}
	var longest time.Duration
	for step := range int64(2000) {
		start := time.Now()
		v.Stepped("pretrain", step, 2000)
		longest = max(longest, time.Since(start))
		v.Line(record.Step{Phase: "pretrain", Step: step, Table: [][]*float64{{number(1), nil}, {nil, nil}}})
		v.Transferred(1, 1)
	}
	cancel()
	readers.Wait()
	if longest > time.Second { // a page takes milliseconds to draw
		t.Errorf("the longest step under scrapes took %s", longest)
	}
	if !strings.Contains(get(t, h, "/metrics", http.StatusOK), `cijepa_steps_done{phase="pretrain"} 1999`) {
		t.Error("the newest step is not shown")
	}
}

// TestReadersDoNotDelayTheExit, even one that sends half a request.
func TestReadersDoNotDelayTheExit(t *testing.T) {
	v, o := filled()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop := v.Serve(listener, o)
	url := "http://" + listener.Addr().String()
	answer, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(text), "cijepa_loss") {
		t.Fatalf("%v, %.100s", err, text)
	}
	answer.Body.Close()
	mute, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	if _, err := io.WriteString(mute, "GET /metrics HTTP/1.1\r\nHost:"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // until the server has it
	start := time.Now()
	stop()
	if took := time.Since(start); took > 4*shutdownTimeout {
		t.Errorf("stopping took %s", took)
	}
	if _, err := http.Get(url + "/healthz"); err == nil {
		t.Error("it answers after its end")
	}
}

func get(t *testing.T, h http.Handler, path string, code int) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	if w.Code != code {
		t.Errorf("%s: %d, want %d: %s", path, w.Code, code, w.Body)
	}
	return w.Body.String()
}
