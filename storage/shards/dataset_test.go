package shards

import (
	"errors"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

func TestOpenDataset(t *testing.T) {
	b, d := packed(t, 20)
	data, err := b.Get(t.Context(), "d/index.json")
	if err != nil {
		t.Fatal(err)
	}
	if d.Fingerprint() != Fingerprint(data) || len(d.Fingerprint()) != 64 {
		t.Errorf("fingerprint %s", d.Fingerprint())
	}
	again, err := OpenDataset(t.Context(), b, "/d/")
	if err != nil || again.Fingerprint() != d.Fingerprint() {
		t.Errorf("slashes around the prefix: %v", err)
	}
	if _, err := OpenDataset(t.Context(), b, "elsewhere"); !errors.Is(err, storage.ErrNotFound) || !strings.Contains(err.Error(), "cijepa pack") {
		t.Errorf("no index: %v, want ErrNotFound and what to do", err)
	}
	storagetest.PutAll(t, b, map[string]string{"d/index.json": string(data[:len(data)/2])})
	if _, err := OpenDataset(t.Context(), b, "d"); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("half an index: %v, want ErrCorrupt", err)
	}
	if _, err := newCache(t, d, t.TempDir(), 0).Split("test"); err == nil || !strings.Contains(err.Error(), "train, val") {
		t.Errorf("a split that is not there: %v", err)
	}
}

func TestOpenDatasetUnderFlippedBits(t *testing.T) {
	store, b, d := storePacked(t, 20)
	for n := range 3 {
		store.Plan(storagetest.Nth(n+1, storagetest.Flipped))
		again, err := OpenDataset(t.Context(), b, "d")
		if err != nil || again.Fingerprint() != d.Fingerprint() {
			t.Errorf("bit flipped in read %d: %v", n+1, err)
		}
	}
}
