package storage

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cijepa/cijepa/storage/checkpoint"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// Record says which right is missing, and does not ask for one that is there.
func TestRecordNamesTheMissingRight(t *testing.T) {
	rights := map[storagetest.Op]string{storagetest.Write: "s3:PutObject", storagetest.Read: "s3:GetObject", storagetest.List: "s3:ListBucket"}
	for _, fault := range []storagetest.Fault{storagetest.Denied, storagetest.DeniedAsMissing} {
		for refused := range rights {
			synctest.Test(t, func(t *testing.T) {
				store := storagetest.NewStore(t)
				b := New(store.Bucket(), Options{})
				defer b.Close()
				store.Plan(storagetest.Always(fault, refused))
				_, err := checkpoint.OpenRun(b, "test", "pod", nil).Record(t.Context())
				if !errors.Is(err, ErrDenied) {
					t.Fatalf("%s of %s: %v", fault, refused, err)
				}
				for op, right := range rights {
					if strings.Contains(err.Error(), right) != (op == refused) {
						t.Errorf("%s of %s: wrong advice: %v", fault, refused, err)
					}
				}
			})
		}
	}
}

// A bucket that forbids deletion still takes a run.
func TestRunWithoutTheRightToDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storagetest.NewStore(t)
		b := New(store.Bucket(), checkpoint.hasty(t))
		defer b.Close()
		store.Plan(storagetest.Always(storagetest.Denied, storagetest.Delete))
		if err := checkpoint.life(t.Context(), t, b); err != nil {
			t.Error(err)
		}
		checkpoint.checkWhole(t, store)
	})
}

// A store that ignores the condition of a create is refused before a run relies on it.
func TestStoreWithoutConditionsIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(storagetest.NewStore(t).Bucket(), Options{})
		defer b.Close()
		if err := b.Check(t.Context(), "runs/test/"); err != nil {
			t.Errorf("a good store: %v", err)
		}
		store := storagetest.NewStore(t)
		b = New(store.Bucket(), Options{})
		defer b.Close()
		store.Plan(storagetest.Always(storagetest.Unconditional, storagetest.Write))
		if _, err := checkpoint.OpenRun(b, "test", "pod", nil).Record(t.Context()); err == nil || !strings.Contains(err.Error(), "If-None-Match") {
			t.Errorf("a store that ignores conditions: %v", err)
		}
		if left := store.Objects(); len(left) > 0 {
			t.Errorf("the probe is left behind: %v", left)
		}
	})
}
