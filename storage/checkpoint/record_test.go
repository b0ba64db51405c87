package checkpoint

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// Checkpoints without the record of their settings are damage, not a run that has not begun.
func TestCheckpointsWithoutARecord(t *testing.T) {
	b := storagetest.NewStore(t).Open(storage.Options{})
	run := OpenRun(b, "test", "pod", nil)
	if _, err := run.Record(t.Context()); !errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrCorrupt) {
		t.Fatalf("a run that has not begun: %v", err)
	}
	first, _ := mustRestore(t, b, "first")
	mustCommit(t, first, 1, false)
	_, err := run.Record(t.Context())
	if !errors.Is(err, storage.ErrCorrupt) || errors.Is(err, storage.ErrNotFound) || !strings.Contains(err.Error(), "runs/test/run.json") || !strings.Contains(err.Error(), "put it back") {
		t.Errorf("checkpoints without a record: %v", err)
	}
	if _, err := first.Begin(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if record, err := run.Record(t.Context()); err != nil || string(record) != "{}" {
		t.Errorf("the record is back: %q, %v", record, err)
	}
}

// A run that another attempt begins between the look at the record and the look at the manifests is not damaged.
func TestRecordBesideABeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storagetest.NewStore(t)
		b := store.Open(storage.Options{})
		var slow sync.Once
		store.Plan(func(c storagetest.Call) (fault storagetest.Fault) {
			if c.Op == storagetest.List && strings.Contains(c.Key, "manifest") {
				slow.Do(func() { fault = storagetest.Slow })
			}
			return fault
		})
		var other sync.WaitGroup
		other.Go(func() {
			time.Sleep(time.Second)
			r, _ := mustRestore(t, b, "other")
			if _, err := r.Begin(t.Context(), []byte("{}")); err != nil {
				t.Error(err)
			}
			mustCommit(t, r, 1, false)
		})
		record, err := OpenRun(b, "test", "pod", nil).Record(t.Context())
		if other.Wait(); err != nil || string(record) != "{}" {
			t.Errorf("%q, %v", record, err)
		}
	})
}
