package job

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

// TestStepBeyondTheEndIsDamage: a manifest that is whole, and names an update that the phase does
// not have, is refused, and nothing is trained from it.
func TestStepBeyondTheEndIsDamage(t *testing.T) {
	t.Parallel()
	for _, phase := range []string{record.Pretraining, record.Probing} {
		cfg, bucket := fashionRun(t, func(c *settings.Config) {
			c.Width, c.Depth, c.Depths, c.PredictorDepth, c.IntermediateRows = 8, 2, settings.DepthSet{0, 1}, 1, 1
			c.Epochs, c.ProbeEpochs, c.EvalEvery, c.SaveEvery = 1, 1, 0, time.Nanosecond
		})
		if err := Run(t.Context(), cfg, record.Versions{}, testLog(t), nil); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(strings.TrimPrefix(cfg.Bucket, "file://"), "runs/r/result.json")); err != nil {
			t.Fatal(err)
		}
		run := checkpoint.OpenRun(bucket, "r", "forger", testLog(t))
		var parts []checkpoint.Part
		found, err := run.Restore(t.Context(), func(c checkpoint.Checkpoint) error {
			if c.Phase != phase {
				return storage.ErrCorrupt // go back to the phase
			}
			names, err := bucket.List(t.Context(), "runs/r/state/"+phase+"-")
			parts = nil
			for _, key := range names {
				r, err := c.Open(filepath.Base(key))
				if errors.Is(err, storage.ErrNotFound) {
					continue
				} else if err != nil {
					return err
				}
				data, err := io.ReadAll(r)
				if err := errors.Join(err, r.Close()); err != nil {
					return err
				}
				name := filepath.Base(key)
				if len(parts) > 0 && parts[0].Name == name {
					break // the folder of the next checkpoint
				}
				parts = append(parts, checkpoint.Part{Name: name, Size: int64(len(data)), Write: func(w io.Writer) error {
					_, err := io.Copy(w, bytes.NewReader(data))
					return err
				}})
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := run.Commit(t.Context(), phase, found.Step+5, false, parts); err != nil {
			t.Fatal(err)
		}
		before, err := bucket.List(t.Context(), "runs/r/manifest/")
		if err != nil {
			t.Fatal(err)
		}
		if err := Run(t.Context(), cfg, record.Versions{}, testLog(t), nil); !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), "which has ") {
			t.Errorf("%s, %d updates beyond its end: %v", phase, 5, err)
		}
		if after, err := bucket.List(t.Context(), "runs/r/manifest/"); err != nil || len(after) != len(before) {
			t.Errorf("%s: %d manifests, %d before: %v", phase, len(after), len(before), err)
		}
	}
}
