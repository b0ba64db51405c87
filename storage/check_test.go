package storage_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// A store that ignores the condition of a create is refused before a run relies on it.
func TestStoreWithoutConditionsIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := storagetest.NewStore(t).Open(storage.Options{})
		if err := b.Check(t.Context(), "runs/test/"); err != nil {
			t.Errorf("a good store: %v", err)
		}
		store := storagetest.NewStore(t)
		b = store.Open(storage.Options{})
		store.Plan(storagetest.Always(storagetest.Unconditional, storagetest.Write))
		if err := b.Check(t.Context(), "runs/test/"); err == nil ||
			!strings.Contains(err.Error(), "If-None-Match") {
			t.Errorf("a store that ignores conditions: %v", err)
		}
		if left := store.Objects(); len(left) > 0 {
			t.Errorf("the probe is left behind: %v", left)
		}
	})
}
