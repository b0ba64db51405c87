package job

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/gomlx/compute/gobackend"
	_ "gocloud.dev/blob/fileblob"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/machine/machinetest"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/pack"
)

// slowAsked says whether the tests that take long are asked for.
var slowAsked = os.Getenv("CIJEPA_TEST_SLOW") != ""

func TestMain(m *testing.M) {
	machinetest.UnsetSettings()
	os.Exit(m.Run())
}

// fashionRun gives the settings of a run of 105 updates on a part of the demonstration's images, 21
// an epoch, and its bucket. Real images matter here: on noise a healthy network makes all of them
// look alike, and is right.
func fashionRun(t *testing.T, adjust func(*settings.Config)) (settings.Config, *storage.Bucket) {
	t.Helper()
	url := "file://" + filepath.ToSlash(t.TempDir())
	cfg, err := settings.Load(settings.Demo, func(c *settings.Config) {
		c.Bucket, c.Run, c.Backend = url, "r", "go:ops_sequential"
		c.Width, c.Heads, c.PredictorWidth, c.PredictorHeads, c.Batch = 16, 2, 8, 1, 8
		c.Epochs, c.ProbeEpochs, c.ProbeBatch, c.LogEvery, c.KNNK = 5, 1, 64, 15, 5
		c.SaveEvery, c.CacheDir, c.KNNBank = time.Hour, filepath.Join(t.TempDir(), "cache"), 64
		// Not the demonstration's, which may change: the bounds of alarms are tried with these.
		c.Depths, c.IntermediateRows, c.PeakLR, c.EMAMomentum, c.Warmup = settings.DepthSet{0, 1, 2, 3}, 2, 4e-3, 0.97, 0.05
		c.EvalEvery, c.CropScale = 1, settings.Range{0.7, 1}
		adjust(c)
	})
	if err != nil {
		t.Fatal(err)
	}
	var splits []pack.IDX
	for name, n := range map[string]int{machine.TrainSplit: 21 * cfg.Batch, machine.ValidationSplit: 64} {
		splits = append(splits, pack.IDX{Split: name, Images: firstOf(t, name+"-images-idx3", n, 16, 28*28), Labels: firstOf(t, name+"-labels-idx1", n, 8, 1)})
	}
	source, err := pack.FromIDX(nil, splits...)
	if err != nil {
		t.Fatal(err)
	}
	bucket := openBucket(t, url)
	if _, _, err := pack.Pack(t.Context(), source, bucket, cfg.Data, pack.PackOptions{PerShard: 30}); err != nil {
		t.Fatal(err)
	}
	return cfg, bucket
}

// firstOf cuts one of the demonstration's files to its first n records.
func firstOf(t *testing.T, name string, n, header, size int) io.Reader {
	t.Helper()
	file, err := os.Open("demo/data/" + name + "-ubyte.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	text := make([]byte, header+n*size)
	if _, err := io.ReadFull(unpacked, text); err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint32(text[4:], uint32(n))
	return bytes.NewReader(text)
}

func testLog(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

func openBucket(t *testing.T, url string) *storage.Bucket {
	t.Helper()
	bucket, err := storage.Open(t.Context(), url, storage.Options{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bucket.Close() })
	return bucket
}

func deref(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return *v
}

// linesOf reads one file of a run's metrics.
func linesOf[T any](t *testing.T, bucket *storage.Bucket, file string) (all []T) {
	t.Helper()
	found, err := bucket.List(t.Context(), "runs/r/metrics/"+file+"-")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range found {
		text, err := bucket.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var v T
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatal(err)
			}
			all = append(all, v)
		}
	}
	return all
}

// resultOf reads the result of a run.
func resultOf(t *testing.T, bucket *storage.Bucket) (r settings.Result) {
	t.Helper()
	text, err := bucket.Get(t.Context(), "runs/r/result.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestBrokenRunsRaiseAlarms: real runs that are broken by their settings raise what they should, in
// the log, in the journal and in the result; a healthy one, and the plain I-JEPA baseline, raise
// nothing.
func TestBrokenRunsRaiseAlarms(t *testing.T) {
	if testing.Short() {
		t.Skip("not with -short: trains nets that break")
	}
	for _, c := range []struct {
		name   string
		adjust func(*settings.Config)
		want   []string // kinds of alarms, at least; nil: none at all
		slow   bool
	}{
		{"healthy", func(*settings.Config) {}, nil, false},
		{"baseline", func(c *settings.Config) {
			c.Depths, c.IntermediateRows, c.AllToLastWeight, c.LastToLastWeight = settings.DepthSet{3}, 0, settings.Weight{}, settings.Weight{}
		}, nil, true},
		{"a rate 50 times too high", func(c *settings.Config) { c.Batch, c.PeakLR, c.Seed = 16, 0.2, 9 }, []string{record.AlarmCollapse, record.AlarmResidual}, false}, // a seed that goes far out of bounds
		{"a teacher that is the student, at ten times the rate", func(c *settings.Config) { c.Batch, c.EMAMomentum, c.PeakLR = 16, 0, 0.05 }, []string{record.AlarmCollapse}, true},
		{"a rate of nothing", func(c *settings.Config) {
			c.Batch, c.PeakLR, c.FinalLR, c.LogEvery = 4, 1e-12, 1e-12, 1
		}, []string{record.AlarmTable}, true},
		{"overflow", func(c *settings.Config) { c.PeakLR, c.FinalLR, c.TargetNorm = 100, 100, false }, []string{record.AlarmNotFinite}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.slow && !slowAsked {
				t.Skip("only with CIJEPA_TEST_SLOW=1")
			}
			t.Parallel()
			cfg, bucket := fashionRun(t, c.adjust)
			var log bytes.Buffer
			err := Run(t.Context(), cfg, record.Versions{}, slog.New(slog.NewTextHandler(&log, nil)), nil)
			kinds := map[string]bool{}
			found := linesOf[record.Alarm](t, bucket, record.Alarms)
			for _, a := range found {
				t.Logf("step %d: %s: %s", a.Step, a.Alarm, a.Text)
				kinds[a.Alarm] = true
			}
			if c.want == nil && len(found) > 0 {
				t.Error("alarms in a healthy run")
			}
			for _, kind := range c.want {
				if !kinds[kind] {
					t.Errorf("no alarm %s", kind)
				}
			}
			if n := strings.Count(log.String(), "level=WARN msg=alarm"); n != len(found) {
				t.Errorf("%d alarms in the log, %d in the journal", n, len(found))
			}
			for _, h := range linesOf[record.Health](t, bucket, record.Healths) {
				t.Logf("step %d: deviation %v, rank %v, residual %v", h.Step, figures(h.Std), figures(h.Rank), figures(h.RMS))
			}
			if kinds[record.AlarmNotFinite] {
				if err == nil || !strings.Contains(err.Error(), "20 updates in a row") {
					t.Errorf("the run ended with %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if n := resultOf(t, bucket).Stats.Alarms; n != len(found) {
				t.Errorf("%d alarms in the result, %d in the journal", n, len(found))
			}
		})
	}
}

func figures(values []*float64) string {
	var all []string
	for _, v := range values {
		all = append(all, fmt.Sprintf("%.3g", deref(v)))
	}
	return fmt.Sprint(all)
}

// TestRunWithEverythingBesideIt is for the race detector: a run with all that runs beside it, as
// often as can be.
func TestRunWithEverythingBesideIt(t *testing.T) {
	t.Parallel()
	cfg, bucket := fashionRun(t, func(c *settings.Config) {
		c.Width, c.Depth, c.Depths, c.PredictorDepth, c.IntermediateRows = 8, 2, settings.DepthSet{0, 1}, 1, 1
		c.Epochs, c.EvalEvery, c.LogEvery, c.SaveEvery, c.Listen = 2, 1, 1, time.Nanosecond, "127.0.0.1:0"
	})
	if err := Run(t.Context(), cfg, record.Versions{}, testLog(t), nil); err != nil {
		t.Fatal(err)
	}
	if n := len(linesOf[record.Eval](t, bucket, record.Evals)); n != 3 || resultOf(t, bucket).Metrics.Updates != 42 {
		t.Errorf("%d looks, want 3; %+v", n, resultOf(t, bucket).Metrics)
	}
}

// TestEvaluationsChangeNothing: with and without the online probe a run computes the same state to
// the bit, and the same figures.
func TestEvaluationsChangeNothing(t *testing.T) {
	t.Parallel()
	var results []settings.Result
	for every, want := range []int{0, 3, 2} {
		cfg, bucket := fashionRun(t, func(c *settings.Config) { c.EvalEvery, c.Epochs = every, 2 })
		if err := Run(t.Context(), cfg, record.Versions{}, testLog(t), nil); err != nil {
			t.Fatal(err)
		}
		results = append(results, resultOf(t, bucket))
		looks := linesOf[record.Eval](t, bucket, record.Evals)
		if every == 2 {
			want = 2
		}
		if len(looks) != want {
			t.Errorf("a look every %d epochs: %d looks, want %d", every, len(looks), want)
		}
		for i, l := range looks {
			if l.Epoch != int64(every*i) || l.Step != 21*int64(every*i) || l.Bank != 168 || l.Images != 64 || l.KNNTop1 == nil || l.ProbeTop1 < 20 {
				t.Errorf("look %d is %+v", i, l)
			}
		}
	}
	for _, r := range results[1:] {
		if d := cmp.Diff(results[0].Metrics, r.Metrics); d != "" || r.Metrics.StateSHA256 == "" {
			t.Errorf("the online probe changed the run:\n%s", d)
		}
	}
}
