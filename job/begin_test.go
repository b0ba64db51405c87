package job

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"gocloud.dev/blob/memblob"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
	"github.com/cijepa/cijepa/storage/shards"
)

// TestWhatIsThereMustMakeSense: a record or result that is empty, cut or foreign is damage, told with what to do; one of
// another recipe or version is a settings error that names the settings, and destroys nothing.
func TestWhatIsThereMustMakeSense(t *testing.T) {
	recipe := settings.Defaults().Recipe
	whole, err := json.Marshal(settings.RunRecord{Version: record.Version, Recipe: recipe})
	if err != nil {
		t.Fatal(err)
	}
	result, err := json.Marshal(settings.Result{Version: record.Version, Recipe: recipe})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "{}", "null", "[]", string(whole[:len(whole)/2])} {
		if _, err := settings.ReadRunRecord([]byte(text), "runs/r/run.json"); !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), "runs/r/run.json") || !strings.Contains(err.Error(), "put a copy back") {
			t.Errorf("run.json %q: %v", text, err)
		}
		if _, err := settings.ReadResult(recipe, []byte(text), "runs/r/result.json"); !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), "delete it") {
			t.Errorf("result.json %q: %v", text, err)
		}
	}
	var settings *settings.Error
	newer := []byte(`{"version":2}`)
	if _, err := settings.ReadRecord(newer, "runs/r/run.json"); !errors.As(err, &settings) || !strings.Contains(err.Error(), "another version of cijepa has written runs/r/run.json") {
		t.Errorf("run.json of a newer version: %v", err)
	}
	if _, err := settings.Finished(recipe, newer, "runs/r/result.json"); !errors.As(err, &settings) || strings.Contains(err.Error(), "delete") {
		t.Errorf("result.json of a newer version: %v", err)
	}
	if r, err := settings.ReadRecord(whole, "k"); err != nil || r.Recipe.Epochs != recipe.Epochs {
		t.Errorf("a whole record: %+v, %v", r, err)
	}
	if _, err := settings.Finished(recipe, result, "k"); err != nil {
		t.Errorf("a whole result: %v", err)
	}
	recipe.Seed, recipe.Depths = 7, settings.span(0, 11)
	if _, err := settings.Finished(recipe, result, "k"); !errors.As(err, &settings) || len(settings.Faults) != 2 {
		t.Errorf("a result of another recipe: %v", err)
	}
}

// TestTheFirstMicroBatchHolds: of two attempts that begin a run at once the second takes what the first has settled, and
// another recipe is refused before anything is tried on the device.
func TestTheFirstMicroBatchHolds(t *testing.T) {
	device, err := model.OpenDevice("go:ops_sequential")
	if err != nil {
		t.Fatal(err)
	}
	cfg, _ := bench.smallBench()
	cfg.Run, cfg.MicroBatch = "r", 0
	bucket := storage.New(memblob.OpenBucket(nil), storage.Options{})
	defer bucket.Close()
	theirs := settings.RunRecord{Version: record.Version, Recipe: cfg.Recipe, Fingerprint: (&shards.Dataset{}).Fingerprint(), Begun: time.Now().UTC().Round(0)}
	theirs.Recipe.MicroBatch = 2
	text, err := json.Marshal(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := checkpoint.OpenRun(bucket, "r", "first", nil).Begin(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	j := &Job{cfg: cfg, log: check.testLog(t), bucket: bucket, data: &shards.Dataset{}, device: device, run: checkpoint.OpenRun(bucket, "r", "second", nil)}
	if err := j.begin(t.Context()); err != nil || j.cfg.MicroBatch != 2 || !j.begun.Equal(theirs.Begun) {
		t.Errorf("micro-batches of %d, begun %v: %v", j.cfg.MicroBatch, j.begun, err)
	}
	var settings *settings.Error
	j = &Job{cfg: cfg, log: check.testLog(t), bucket: bucket, data: &shards.Dataset{}, run: checkpoint.OpenRun(bucket, "r", "third", nil)} // without a device
	j.cfg.Seed = 9
	if err := j.begin(t.Context()); !errors.As(err, &settings) || !strings.Contains(err.Error(), "CIJEPA_SEED=9: this run was begun with 0") {
		t.Errorf("another recipe: %v", err)
	}
}
