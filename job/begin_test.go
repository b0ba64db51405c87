package job

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/storage/checkpoint"
	"github.com/cijepa/cijepa/storage/shards"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// TestTheFirstMicroBatchHolds: of two attempts that begin a run at once the second takes what the
// first has settled, and another recipe is refused before anything is tried on the device.
func TestTheFirstMicroBatchHolds(t *testing.T) {
	device, err := model.DeviceOptions{}.Open("go:ops_sequential")
	if err != nil {
		t.Fatal(err)
	}
	cfg, _ := fashionRun(t, func(*settings.Config) {})
	cfg.Run, cfg.MicroBatch = "r", 0
	bucket := storagetest.Memory(t)
	theirs := settings.RunRecord{Version: record.Version, Recipe: cfg.Recipe, Fingerprint: (&shards.Dataset{}).Fingerprint(), Begun: time.Now().UTC().Round(0)}
	theirs.Recipe.MicroBatch = 2
	text, err := record.Seal(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := checkpoint.OpenRun(bucket, "r", "first", nil).Begin(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	j := &Job{cfg: cfg, log: testLog(t), bucket: bucket, data: &shards.Dataset{}, device: device, run: checkpoint.OpenRun(bucket, "r", "second", nil)}
	if err := j.begin(t.Context()); err != nil || j.cfg.MicroBatch != 2 || !j.begun.Equal(theirs.Begun) {
		t.Errorf("micro-batches of %d, begun %v: %v", j.cfg.MicroBatch, j.begun, err)
	}
	var fault *settings.Error
	j = &Job{cfg: cfg, log: testLog(t), bucket: bucket, data: &shards.Dataset{}, run: checkpoint.OpenRun(bucket, "r", "third", nil)} // without a device
	j.cfg.Seed = 9
	if err := j.begin(t.Context()); !errors.As(err, &fault) || !strings.Contains(err.Error(), "CIJEPA_SEED=9: this run was begun with 0") {
		t.Errorf("another recipe: %v", err)
	}
}
