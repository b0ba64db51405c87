package check

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/machine/machinetest"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/pack"
	"github.com/cijepa/cijepa/storage/shards"
	"github.com/cijepa/cijepa/storage/storagetest"
	_ "github.com/gomlx/compute/gobackend"
	_ "gocloud.dev/blob/fileblob"
)

// TestMain unsets all variables with the prefix, such as those that choose slow tests:
// settings.Load refuses what is no setting.
func TestMain(m *testing.M) {
	machinetest.UnsetSettings()
	os.Exit(m.Run())
}

// packNoise writes splits of noise: 64 images in 4 shards, then 16 in one.
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

// smallRun returns the settings of a run whose steps take milliseconds, and its bucket with data.
func smallRun(t *testing.T) (settings.Config, *storage.Bucket) {
	t.Helper()
	url := "file://" + filepath.ToSlash(t.TempDir())
	cfg, err := settings.Load(settings.Demo, func(c *settings.Config) {
		c.Bucket, c.Run, c.Data, c.Backend = url, "r", "noise", "go:ops_sequential"
		c.Width, c.Heads, c.PredictorWidth, c.PredictorHeads, c.Batch, c.Epochs = 16, 2, 8, 1, 16, 4
		c.RetryTimeout, c.CacheDir = 300*time.Millisecond, filepath.Join(t.TempDir(), "cache")
	})
	if err != nil {
		t.Fatal(err)
	}
	bucket := storagetest.Open(t, url, storage.Options{})
	packNoise(t, bucket, "noise", machine.TrainSplit, machine.ValidationSplit)
	return cfg, bucket
}

// put creates an object.
func put(t *testing.T, bucket *storage.Bucket, key string, text []byte) {
	t.Helper()
	if _, err := bucket.Create(t.Context(), key, text); err != nil {
		t.Fatal(err)
	}
}

// keys lists all objects of a bucket.
func keys(t *testing.T, bucket *storage.Bucket) []string {
	t.Helper()
	all, err := bucket.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// failing returns the URL of a bucket that behaves as planned.
func failing(t *testing.T, plan func(storagetest.Call) storagetest.Fault) string {
	t.Helper()
	store := storagetest.NewStore(t)
	store.Plan(plan)
	return store.URL()
}

// TestCheckPredictsAGoodRun: nothing is wrong, hours are predicted, and the bucket is as before.
func TestCheckPredictsAGoodRun(t *testing.T) {
	cfg, bucket := smallRun(t)
	before := keys(t, bucket)
	var out bytes.Buffer
	if _, err := Run(t.Context(), cfg, &out, storagetest.Log(t)); err != nil {
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

// TestCheckReturnsTheErrorsOfARun: what cannot work is a settings error that names the variable.
// What is missing, damaged or out of reach is the error that a run would end with.
func TestCheckReturnsTheErrorsOfARun(t *testing.T) {
	cfg, bucket := smallRun(t)
	packNoise(t, bucket, "trainonly", machine.TrainSplit)
	packNoise(t, bucket, "holed", machine.TrainSplit, machine.ValidationSplit)
	if err := bucket.Delete(t.Context(), "holed/train-000003.tar"); err != nil {
		t.Fatal(err)
	}
	packUnlabelled(t, bucket)
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
			k := &check{cfg: changed, out: &out, log: storagetest.Log(t), budget: 20 * time.Millisecond, smi: machine.NvidiaSMI, host: machine.HostMemory} // no time is predicted
			err := k.run(t.Context())
			if err == nil || !c.is(err) {
				t.Fatalf("returned %v\n%s", err, &out)
			}
			for _, want := range c.says {
				if !strings.Contains(out.String(), want) || strings.Contains(err.Error(), want) {
					t.Errorf("%q is not told, or told in the error as well: %v\n%s", want, err, &out)
				}
			}
			lines := slices.Sorted(strings.Lines(out.String()))
			if len(slices.Compact(lines)) < len(lines) {
				t.Errorf("a line stands twice in\n%s", &out)
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

// packUnlabelled writes the index of a data set in which every second image has no label.
func packUnlabelled(t *testing.T, bucket *storage.Bucket) {
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

// TestFaultsAreCounted in one error that has all of their kinds.
func TestFaultsAreCounted(t *testing.T) {
	var out bytes.Buffer
	c := &check{out: &out}
	for _, err := range []error{
		fmt.Errorf("opening: %w", storage.ErrDenied), errors.Join(errors.New("a"), errors.New("b")), settings.NewError("Seed", 7, "something else"),
	} {
		c.fault(t.Context(), "x", err)
	}
	err := c.conclude()
	if want := "3 faults stand in the way of this run"; err.Error() != want {
		t.Errorf("it says\n%v\ninstead of\n%s", err, want)
	}
	if settings := (*settings.Error)(nil); !errors.As(err, &settings) || !errors.Is(err, storage.ErrDenied) {
		t.Error("its kinds cannot be found")
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
		if _, err := Run(ctx, cfg, out, storagetest.Log(t)); !errors.Is(err, errStop) {
			t.Errorf("stopped at %s: returned %v", subject, err)
		}
	}
	if after := keys(t, bucket); !slices.Equal(before, after) {
		t.Errorf("the bucket held %v and holds %v", before, after)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
