package check

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/gomlx/compute/gobackend"
	_ "gocloud.dev/blob/fileblob"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
	"github.com/cijepa/cijepa/storage/pack"
	"github.com/cijepa/cijepa/storage/shards"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// packNoise writes images of noise: 64 training images in 4 shards, and 16 validation images if there are labels.
func packNoise(t *testing.T, bucket *storage.Bucket, prefix string, splits ...string) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	var all []pack.IDX
	for i, name := range splits {
		n := 64 >> (2 * i)
		images, labels := binary.BigEndian.AppendUint32(nil, 0x803), binary.BigEndian.AppendUint32(nil, 0x801)
		for _, d := range []int{n, 28, 28} {
			images = binary.BigEndian.AppendUint32(images, uint32(d))
		}
		labels = binary.BigEndian.AppendUint32(labels, uint32(n))
		for i := range n {
			labels = append(labels, byte(i%4))
			for range 28 * 28 {
				images = append(images, byte(r.Uint32()))
			}
		}
		all = append(all, pack.IDX{Split: name, Images: bytes.NewReader(images), Labels: bytes.NewReader(labels)})
	}
	source, err := pack.FromIDX(nil, all...)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := pack.Pack(t.Context(), source, bucket, prefix, pack.PackOptions{PerShard: 16}); err != nil {
		t.Fatal(err)
	}
}

// smallRun gives the settings of a run that two cores step through in milliseconds, and its bucket with data.
func smallRun(t *testing.T) (settings.Config, *storage.Bucket) {
	t.Helper()
	url := "file://" + filepath.ToSlash(t.TempDir())
	cfg, err := settings.Load(settings.Demo, func(c *settings.Config) {
		c.Bucket, c.Run, c.Data, c.Backend = url, "r", "noise", "go:ops_sequential"
		c.Width, c.Heads, c.PredictorWidth, c.PredictorHeads, c.Batch = 16, 2, 8, 1, 16
		c.RetryTimeout, c.CacheDir = 300*time.Millisecond, filepath.Join(t.TempDir(), "cache")
	})
	if err != nil {
		t.Fatal(err)
	}
	bucket := openTest(t, url)
	packNoise(t, bucket, "noise", machine.TrainSplit, machine.ValidationSplit)
	return cfg, bucket
}

func openTest(t *testing.T, url string) *storage.Bucket {
	t.Helper()
	bucket, err := storage.Open(t.Context(), url, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bucket.Close() })
	return bucket
}

func testLog(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

func put(t *testing.T, bucket *storage.Bucket, key string, text []byte) {
	t.Helper()
	if _, err := bucket.Create(t.Context(), key, text); err != nil {
		t.Fatal(err)
	}
}

// begunRun writes the run.json that a run with these settings would have.
func begunRun(t *testing.T, bucket *storage.Bucket, cfg settings.Config) {
	t.Helper()
	data, err := shards.OpenDataset(t.Context(), bucket, cfg.Data)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(settings.RunRecord{Version: record.Version, Recipe: cfg.Recipe, Fingerprint: data.Fingerprint()})
	if err != nil {
		t.Fatal(err)
	}
	put(t, bucket, "runs/r/run.json", text)
}

// onePart is a part of a checkpoint.
func onePart() checkpoint.Part {
	return checkpoint.Part{Name: "x", Size: 1, Write: func(w io.Writer) error { _, err := w.Write([]byte("x")); return err }}
}

func keys(t *testing.T, bucket *storage.Bucket) []string {
	t.Helper()
	all, err := bucket.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestCheckPredictsAGoodRun: nothing is wrong, hours are predicted, and the bucket is as before.
func TestCheckPredictsAGoodRun(t *testing.T) {
	cfg, bucket := smallRun(t)
	before := keys(t, bucket)
	var out bytes.Buffer
	if err := Run(t.Context(), cfg, &out, testLog(t)); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", &out)
	for _, want := range []string{
		"4 classes; train 64 images in 4 shards, val 16 images in 1 shards", "16 updates: 4 epochs of 4, 0 images", "r is new", "read in place",
		"measured", "for 16 images", "pretraining ", "for 16 updates", "SIGTERM costs no update", "faults: 0",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in what was printed", want)
		}
	}
	if after := keys(t, bucket); !slices.Equal(before, after) {
		t.Errorf("the bucket held %v and holds %v", before, after)
	}
	if _, err := os.Stat(filepath.Join(strings.TrimPrefix(cfg.Bucket, "file://"), "runs")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder is left behind: %v", err)
	}
}

// TestCheckMakesNoBucket: a folder that is missing is told and not made. For the bucket of runs alone that is no fault: the run makes it.
func TestCheckMakesNoBucket(t *testing.T) {
	cfg, _ := smallRun(t)
	missing := filepath.Join(t.TempDir(), "missing")
	for _, c := range []struct {
		bucket, data string
		fault        string
		says         string
	}{
		{"file://" + missing, cfg.DataBucket, "", "the folder does not exist: " + missing + "; a run would make it"},
		{"file://" + missing, "file://" + missing, "CIJEPA_BUCKET", "the folder does not exist: " + missing},
		{cfg.Bucket, "file://" + missing, "CIJEPA_DATA_BUCKET", "the folder does not exist: " + missing},
	} {
		changed := cfg
		changed.Bucket, changed.DataBucket = c.bucket, c.data
		var out bytes.Buffer
		k := &check{cfg: changed, out: &out, log: testLog(t)}
		k.lookAtBucket(t.Context())
		k.lookAtData(t.Context())
		k.close()
		var faults []string
		for _, f := range k.settings.Faults {
			faults = append(faults, f.Variable)
		}
		if strings.Join(faults, " ") != c.fault || len(k.errs) > 0 || !strings.Contains(out.String(), c.says) {
			t.Errorf("faults %v %v, want %q, in\n%s", faults, k.errs, c.fault, &out)
		}
		if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("it was made: %v", err)
		}
	}
}

// TestCheckTellsWhereTheRunStands: begun, under way, done.
func TestCheckTellsWhereTheRunStands(t *testing.T) {
	cfg, bucket := smallRun(t)
	tell := func(want string) {
		t.Helper()
		var out bytes.Buffer
		c := &check{cfg: cfg, out: &out, log: testLog(t), bucket: bucket}
		if c.lookAtRun(t.Context()); !strings.Contains(out.String(), want) || len(c.errs)+len(c.settings.Faults) > 0 {
			t.Errorf("no %q in %s", want, &out)
		}
	}
	begunRun(t, bucket, cfg)
	tell("it starts at its first update")
	run := checkpoint.OpenRun(bucket, "r", "a", testLog(t))
	if _, err := run.Restore(t.Context(), func(checkpoint.Checkpoint) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := run.Commit(t.Context(), record.Pretraining, 7, false, []checkpoint.Part{onePart()}); err != nil {
		t.Fatal(err)
	}
	tell("goes on from checkpoint 1: phase pretrain, update 7")
	result, err := json.Marshal(settings.Result{Version: record.Version, Recipe: cfg.Recipe})
	if err != nil {
		t.Fatal(err)
	}
	put(t, bucket, "runs/r/result.json", result)
	tell("r is done already")

	var out bytes.Buffer
	if err := (&check{cfg: cfg, out: &out, log: testLog(t), budget: 20 * time.Millisecond, smi: machine.NvidiaSMI}).run(t.Context()); err != nil {
		t.Error(err)
	}
	for _, beyond := range []string{"goes on", "in all", "memory"} {
		if strings.Contains(out.String(), beyond) {
			t.Errorf("of a run that is done it says %q in\n%s", beyond, &out)
		}
	}
}

// TestCheckFindsFaults: what cannot work is a settings error that names the variable; what is missing, damaged or out of reach
// is the error that Run would end with.
func TestCheckFindsFaults(t *testing.T) {
	cfg, bucket := smallRun(t)
	packNoise(t, bucket, "trainonly", machine.TrainSplit)
	packNoise(t, bucket, "holed", machine.TrainSplit, machine.ValidationSplit)
	if err := bucket.Delete(t.Context(), "holed/train-000003.tar"); err != nil {
		t.Fatal(err)
	}
	bare(t, bucket)
	begunRun(t, bucket, cfg)
	put(t, bucket, "runs/torn/run.json", []byte("{"))
	put(t, bucket, "runs/lost/manifest/000000000001.json", []byte("{}"))
	isSettings := func(err error) bool { var s *settings.Error; return errors.As(err, &s) }
	is := func(sentinel error) func(error) bool {
		return func(err error) bool { return errors.Is(err, sentinel) && !isSettings(err) }
	}
	unreachable := failing(t, storagetest.Always(storagetest.Refused, storagetest.List, storagetest.Read, storagetest.Write))
	denied := failing(t, storagetest.Always(storagetest.Denied, storagetest.Write))
	before := keys(t, bucket)
	for _, c := range []struct {
		name   string
		change func(*settings.Config)
		is     func(error) bool
		says   []string
	}{
		{"another recipe", func(c *settings.Config) { c.Seed, c.Epochs = 7, 9 }, isSettings, []string{"CIJEPA_SEED=7: this run was begun with 0", "CIJEPA_EPOCHS=9: this run was begun with 4"}},
		{"no data", func(c *settings.Config) { c.Run, c.Data = "x", "nowhere" }, isSettings, []string{"CIJEPA_DATA=nowhere", "cijepa pack"}},
		{"batch", func(c *settings.Config) { c.Run, c.Batch = "x", 100 }, isSettings, []string{"CIJEPA_BATCH=100: at most the 64 images"}},
		{"no validation split", func(c *settings.Config) { c.Run, c.Data = "x", "trainonly" }, isSettings, []string{"no images in split val"}},
		{"no labels", func(c *settings.Config) { c.Run, c.Data = "x", "bare" }, isSettings, []string{"1 of the 2 images of split train have no class", "1 of the 2 images of split val have no class", "1 classes"}},
		{"a shard is gone", func(c *settings.Config) { c.Run, c.Data = "x", "holed" }, is(storage.ErrCorrupt), []string{"CIJEPA_DATA=holed", "1 of 5 shards", "train-000003.tar is gone"}},
		{"checkpoints without a record", func(c *settings.Config) { c.Run = "lost" }, is(storage.ErrCorrupt), []string{"runs/lost/run.json", "CIJEPA_RUN"}},
		{"torn record", func(c *settings.Config) { c.Run = "torn" }, is(storage.ErrCorrupt), []string{"runs/torn/run.json"}},
		{"device that can hang", func(c *settings.Config) { c.Run, c.Backend = "x", "go" }, isSettings, []string{"CIJEPA_BACKEND=go: must be"}},
		{"no device", func(c *settings.Config) { c.Run, c.Backend = "x", "abacus" }, isSettings, []string{"CIJEPA_BACKEND=abacus: must be"}},
		{"a plugin by name", func(c *settings.Config) { c.Run, c.Backend = "x", "xla:cuda" }, isSettings, []string{"CIJEPA_BACKEND=xla:cuda"}},
		{"data of no name", func(c *settings.Config) { c.Run, c.Data = "x", "a//b" }, isSettings, []string{"CIJEPA_DATA=a//b"}},
		{"scheme", func(c *settings.Config) { c.Bucket = "ftp://x" }, isSettings, []string{"CIJEPA_BUCKET", "ftp"}},
		{"unreachable", func(c *settings.Config) { c.Bucket = unreachable; c.DataBucket = c.Bucket }, is(storage.ErrUnreachable), []string{"CIJEPA_BUCKET", "unreachable"}},
		{"no data bucket", func(c *settings.Config) { c.DataBucket = unreachable }, is(storage.ErrUnreachable), []string{"CIJEPA_DATA_BUCKET", "unreachable"}},
		{"no right to write", func(c *settings.Config) { c.Bucket = denied }, is(storage.ErrDenied), []string{"CIJEPA_BUCKET: a run cannot be saved", "s3:PutObject"}},
		{"probe's batch", func(c *settings.Config) { c.Run, c.ProbeBatch = "x", 100 }, isSettings, []string{"CIJEPA_PROBE_BATCH=100: at most the 64 images"}},
		{"all at once", func(c *settings.Config) { c.Run, c.Batch, c.Backend, c.Data = "x", 100, "go", "trainonly" }, isSettings, []string{"CIJEPA_BATCH", "CIJEPA_BACKEND", "CIJEPA_DATA"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := cfg
			c.change(&changed)
			var out bytes.Buffer
			k := &check{cfg: changed, out: &out, log: testLog(t), budget: 20 * time.Millisecond, smi: machine.NvidiaSMI} // no time is predicted
			err := k.run(t.Context())
			if err == nil || !c.is(err) {
				t.Fatalf("returned %v\n%s", err, &out)
			}
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) || !strings.Contains(out.String(), want) {
					t.Errorf("no %q in the error %v or in\n%s", want, err, &out)
				}
			}
			if !strings.Contains(out.String(), "cannot work as things are") {
				t.Errorf("no verdict in\n%s", &out)
			}
		})
	}
	if after := keys(t, bucket); !slices.Equal(before, after) {
		t.Errorf("the bucket held %v and holds %v", before, after)
	}
}

// TestCheckListsAllFaults: one list, whatever the faults are.
func TestCheckListsAllFaults(t *testing.T) {
	var out bytes.Buffer
	c := &check{out: &out, errs: []error{fmt.Errorf("opening: %w", storage.ErrDenied), errors.Join(errors.New("a"), errors.New("b"))}}
	c.settings.Add("CIJEPA_X", 7, "something else")
	err := c.conclude()
	if want := "3 things stand in the way:\n  CIJEPA_X=7: something else\n  opening: " + storage.ErrDenied.Error() + "\n  a; b"; err.Error() != want {
		t.Errorf("it says\n%v\ninstead of\n%s", err, want)
	}
	if settings := (*settings.Error)(nil); !errors.As(err, &settings) || !errors.Is(err, storage.ErrDenied) {
		t.Error("who asks for its kinds does not find them")
	}
}

// failing gives the URL of a bucket that behaves as planned.
func failing(t *testing.T, plan func(storagetest.Call) storagetest.Fault) string {
	t.Helper()
	store := storagetest.NewStore(t)
	store.Plan(plan)
	return store.URL()
}

// TestCheckWarnsOfWhatStays: a bucket from which nothing can be deleted keeps old checkpoints, and a run can do without.
func TestCheckWarnsOfWhatStays(t *testing.T) {
	cfg, _ := smallRun(t)
	cfg.Bucket = failing(t, storagetest.Always(storagetest.Denied, storagetest.Delete))
	var out bytes.Buffer
	c := &check{cfg: cfg, out: &out, log: testLog(t)}
	if c.lookAtBucket(t.Context()); len(c.errs) > 0 || c.warnings != 1 || !strings.Contains(out.String(), "not deleted") {
		t.Errorf("%v\n%s", c.errs, &out)
	}
	c.close()
}

// bare writes the index of a data set in which every second image has no label.
func bare(t *testing.T, bucket *storage.Bucket) {
	t.Helper()
	shard := func(name string) []shards.Shard {
		return []shards.Shard{{Name: name, Size: 10, SHA256: strings.Repeat("0", 64),
			Samples: shards.Samples{Keys: []string{"a", "b"}, Offsets: []int64{0, 5}, Lengths: []int64{5, 5}, Labels: []int32{0, shards.NoLabel}}}}
	}
	text, err := shards.Index{Version: shards.IndexVersion, Classes: []string{"a"}, Counts: map[string]int{"train": 2, "val": 2},
		Splits: map[string][]shards.Shard{"train": shard("train-0.tar"), "val": shard("val-0.tar")}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	put(t, bucket, "bare/"+shards.IndexName, text)
}

// TestCheckHoldsTheCacheAgainstTheShards: a bucket that is not a folder needs a cache.
func TestCheckHoldsTheCacheAgainstTheShards(t *testing.T) {
	bucket := storagetest.Memory(t)
	packNoise(t, bucket, "noise", machine.TrainSplit, machine.ValidationSplit)
	data, err := shards.OpenDataset(t.Context(), bucket, "noise")
	if err != nil {
		t.Fatal(err)
	}
	size := data.Index.Splits[machine.TrainSplit][0].Size
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		dir    string
		size   int64
		window int
		says   string
		fault  bool
	}{
		{"all fits", t.TempDir(), 0, 4, "0 bytes of them here already", false},
		{"less than all", t.TempDir(), 4 * size, 2, "are fetched again in every epoch", false},
		{"less than a window", t.TempDir(), 3 * size, 4, "CIJEPA_CACHE_SIZE", true},
		{"less than a shard", t.TempDir(), size / 2, 1, "CIJEPA_CACHE_SIZE", true},
		{"no folder", filepath.Join(file, "below"), 0, 1, "CIJEPA_CACHE_DIR", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := settings.Defaults()
			cfg.DataBucket, cfg.CacheDir, cfg.CacheSize, cfg.Window = "mem://", c.dir, settings.Bytes(c.size), c.window
			var out bytes.Buffer
			k := &check{cfg: cfg, out: &out, log: testLog(t), data: data}
			k.lookAtCache(t.Context())
			if !strings.Contains(out.String(), c.says) || (len(k.settings.Faults) == 1) != c.fault || strings.Count(out.String(), "\n") != 1 {
				t.Errorf("no %q, or not one fault, in\n%s", c.says, &out)
			}
		})
	}
}

// TestCheckKnowsTheCard holds the estimate against what nvidia-smi says.
func TestCheckKnowsTheCard(t *testing.T) {
	for _, c := range []struct {
		backend, smi, says string
		micro              int
	}{
		{"xla:/plugin/xla_cuda_plugin.so", "NVIDIA H100 80GB HBM3, 81559 MiB, 580.1\nNVIDIA H100 80GB HBM3, 81559 MiB, 580.1\n", "ok       card       NVIDIA H100 80GB HBM3, 85.52 GB, driver 580.1", 128},
		{"xla:/plugin/xla_cuda_plugin.so", "NVIDIA L4, 23034 MiB, 580.1\n", "lower CIJEPA_MICRO_BATCH", 512},
		{"xla:/plugin/xla_cuda_plugin.so", "NVIDIA L4, 23034 MiB, 580.1\n", "looks for the largest CIJEPA_MICRO_BATCH that fits", 0},
		{"go:parallelism=64", "NVIDIA L4, 23034 MiB, 580.1\n", "CIJEPA_BACKEND=go:parallelism=64 does not use it", 512},
		{"go:parallelism=64", "", "an estimate", 512},
		{"go:parallelism=64", "NVIDIA-SMI has failed", "an estimate", 512},
	} {
		cfg := settings.Defaults()
		cfg.Backend, cfg.MicroBatch = c.backend, c.micro
		var out bytes.Buffer
		k := &check{cfg: cfg, out: &out, log: testLog(t), smi: func(context.Context) ([]byte, error) { return []byte(c.smi), nil }}
		if k.lookAtMemory(t.Context()); !strings.Contains(out.String(), c.says) {
			t.Errorf("no %q in\n%s", c.says, &out)
		}
		if cards := strings.Count(out.String(), " card "); cards > 1 || cards == 1 && !strings.Contains(c.smi, "MiB") {
			t.Errorf("%q is no card:\n%s", c.smi, &out)
		}
	}
}

// TestCheckEndsWhenStopped: a stop in the middle ends it, and the bucket is as before.
func TestCheckEndsWhenStopped(t *testing.T) {
	cfg, bucket := smallRun(t)
	before, errStop := keys(t, bucket), errors.New("stop")
	for _, subject := range []string{"settings", "bucket", "run", "device", "upload", "step"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		out := writer(func(p []byte) (int, error) {
			if fields := strings.Fields(string(p)); len(fields) > 1 && fields[1] == subject {
				cancel(errStop)
			}
			return len(p), nil
		})
		if err := Run(ctx, cfg, out, testLog(t)); !errors.Is(err, errStop) {
			t.Errorf("stopped at %s: returned %v", subject, err)
		}
	}
	if after := keys(t, bucket); !slices.Equal(before, after) {
		t.Errorf("the bucket held %v and holds %v", before, after)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// TestCheckGivesUpOnSlowSteps: where no step ends in time nothing is predicted, and nothing is waited for.
func TestCheckGivesUpOnSlowSteps(t *testing.T) {
	cfg, _ := smallRun(t)
	var out bytes.Buffer
	c := &check{cfg: cfg, out: &out, log: testLog(t), budget: time.Nanosecond, smi: machine.NvidiaSMI}
	if err := c.run(t.Context()); err != nil || !strings.Contains(out.String(), "no step ended within 1ns") || strings.Contains(out.String(), "pretraining ") {
		t.Errorf("returned %v\n%s", err, &out)
	}
}

// TestCheckTellsWhatAPreemptionCosts: by the checkpoint's size, the upload's rate and the update's time.
func TestCheckTellsWhatAPreemptionCosts(t *testing.T) {
	for _, c := range []struct {
		rate, update float64
		says         string
	}{
		{1e9, 0.2, "fits CIJEPA_STOP_GRACE=15s after the update in flight (0.2 s)"},
		{1e8, 0.2, "does not fit CIJEPA_STOP_GRACE=15s"},
		{1e6, 0.2, "longer than CIJEPA_SAVE_EVERY=5m0s"},
		{1e9, 60, "the update in flight takes 60.0 s before that"},
		{1e9, 0, "SIGTERM costs no update"},
	} {
		var out bytes.Buffer
		k := &check{cfg: settings.Defaults(), out: &out, rate: c.rate, update: c.update}
		if k.tellPreemption(t.Context()); !strings.Contains(out.String(), c.says) {
			t.Errorf("no %q in\n%s", c.says, &out)
		}
	}
}

// TestCheckCountsTheDefaults: the figures of model/reference/METHOD.md, section 11.
func TestCheckCountsTheDefaults(t *testing.T) {
	c := &check{cfg: settings.Defaults()}
	s, shape := c.cfg.Model(), c.meanShape()
	if got := s.StateBytes(); got != 4*(3*241_797_888+85_645_056) || math.Round(float64(got)/1e7) != 324 {
		t.Errorf("%d bytes of state", got)
	}
	// The 135 there are of the mean shape, with the first and the last block of each predictor taken on all its tokens.
	first := 6 * (s.Masks.TargetBlocks*(shape.Context+shape.Target) - shape.Context - 1)
	last := s.Masks.TargetBlocks * shape.Context * (2 + 4*s.MLPRatio)
	left := 3 * float64(s.Slots()*(first+last)*s.PredictorWidth*s.PredictorWidth)
	if got := (c.operations() + left) / 1e9; math.Abs(got-135) > 3 {
		t.Errorf("%.1f GFLOP an image and step, not 135", got)
	}
}

// TestCheckCountsTheState: the bytes are those of the arrays that a snapshot holds, blocks that nothing trains included.
func TestCheckCountsTheState(t *testing.T) {
	cfg := settings.Defaults()
	cfg.Image, cfg.Patch, cfg.Width, cfg.Depth, cfg.Heads = 28, 4, 32, 4, 4
	cfg.PredictorWidth, cfg.PredictorDepth, cfg.PredictorHeads = 32, 1, 2
	cfg.Depths, cfg.Batch = settings.DepthSet{0, 1, 2}, 1
	device, err := model.DeviceOptions{}.Open("go:ops_sequential")
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	learner, err := model.NewLearner(device, cfg.Model(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer learner.Close()
	parts, err := learner.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var held int64
	for _, part := range parts {
		n, err := arrayBytes(part)
		if err != nil {
			t.Fatal(err)
		}
		held += n
	}
	if got := cfg.Model().StateBytes(); got != held {
		t.Errorf("%d bytes of state, but a snapshot holds %d", got, held)
	}
}

// arrayBytes counts the bytes of the arrays of a safetensors file, without the optimiser's step counts.
func arrayBytes(part model.Part) (n int64, err error) {
	var file bytes.Buffer
	if err := part.Write(&file); err != nil {
		return 0, err
	}
	header := file.Next(8)
	var arrays map[string]json.RawMessage
	if err := json.NewDecoder(io.LimitReader(&file, int64(binary.LittleEndian.Uint64(header)))).Decode(&arrays); err != nil {
		return 0, fmt.Errorf("%s: %w", part.Name, err)
	}
	for name, text := range arrays {
		var a struct {
			Offsets [2]int64 `json:"data_offsets"`
		}
		if name == "__metadata__" || strings.HasPrefix(name, "adam.step/") {
			continue
		}
		if err := json.Unmarshal(text, &a); err != nil {
			return 0, fmt.Errorf("%s: %w", part.Name, err)
		}
		n += a.Offsets[1] - a.Offsets[0]
	}
	return n, nil
}

// TestCheckScalesABlock: one block stands for a large network by its operations.
func TestCheckScalesABlock(t *testing.T) {
	c := &check{cfg: settings.Defaults()}
	part := oneBlock(c.cfg.Model())
	if err := part.Validate(); err != nil {
		t.Fatal(err)
	}
	if share := c.share(part); share < 0.05 || share > 0.1 {
		t.Errorf("one block is %g of the operations", share)
	}
	if share := c.share(c.cfg.Model()); share != 1 {
		t.Errorf("the whole is %g of the operations", share)
	}
	if got := extrapolate(timing{images: 4, seconds: 3}, timing{images: 16, seconds: 9}, 64); got != 33 {
		t.Errorf("3 s for 4 images and 9 s for 16 make %g s for 64, not 33", got)
	}
}
