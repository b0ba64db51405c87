package shards

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// An index is found with and without slashes around the prefix; a missing or broken one says what
// to do.
func TestOpenDatasetFindsTheIndexOrSaysWhatToDo(t *testing.T) {
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
	if _, err := OpenDataset(t.Context(), b, "elsewhere"); !errors.Is(err, storage.ErrNotFound) ||
		!strings.Contains(err.Error(), "cijepa pack") {
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

// A bit that flips in one read of the index does not change the fingerprint.
func TestOpenDatasetSurvivesAFlippedBit(t *testing.T) {
	store, b, d := storePacked(t, 20)
	for n := range 3 {
		store.Plan(storagetest.Nth(n+1, storagetest.Flipped))
		again, err := OpenDataset(t.Context(), b, "d")
		if err != nil || again.Fingerprint() != d.Fingerprint() {
			t.Errorf("bit flipped in read %d: %v", n+1, err)
		}
	}
}

// A missing or short shard is damage, and the error says what to do. CheckSizes finds it
// beforehand.
func TestMissingShardsAreDamage(t *testing.T) {
	inPlace, err := storage.Open(t.Context(), "file://"+t.TempDir(), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer inPlace.Close()
	for name, b := range map[string]*storage.Bucket{"in place": inPlace, "in a cache": storagetest.Memory(t)} {
		t.Run(name, func(t *testing.T) {
			putPacked(t, b, 50)
			d := mustOpenDataset(t, b)
			if err := d.CheckSizes(t.Context()); err != nil {
				t.Errorf("a whole data set: %v", err)
			}
			if err := b.Delete(t.Context(), "d/train-000003.tar"); err != nil {
				t.Fatal(err)
			}
			storagetest.PutAll(t, b, map[string]string{"d/train-000001.tar": "short"})
			s := trainSplit(t, newCache(t, d, t.TempDir(), 0))
			for shard, says := range map[int]string{1: "d/train-000001.tar",
				3: "d/train-000003.tar: corrupt: the index names it, but it is gone"} {
				err := s.View(t.Context(), shard, 0, func(string, int, []byte) error { return nil })
				if !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), says) ||
					!strings.Contains(err.Error(), repairAdvice) {
					t.Errorf("shard %d: %v, want ErrCorrupt, %q and what to do", shard, err, says)
				}
			}
			err := d.CheckSizes(t.Context())
			const begins = "2 of 6 shards of d/index.json: corrupt: train-000001.tar has 5 bytes, not "
			if !errors.Is(err, storage.ErrCorrupt) || !strings.HasPrefix(err.Error(), begins) ||
				!strings.Contains(err.Error(), "train-000003.tar is gone; "+repairAdvice) {
				t.Errorf("compared: %v", err)
			}
		})
	}
}

// A dataset whose folder and shards are symbolic links is read through them.
func TestDatasetMayBeLinked(t *testing.T) {
	root, elsewhere := t.TempDir(), t.TempDir()
	b, err := storage.Open(t.Context(), "file://"+root, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	putPacked(t, b, 30)
	stored := storagetest.Snapshot(t, b)
	folder, shard := filepath.Join(root, "d"), "train-000001.tar"
	if err := errors.Join(os.Rename(filepath.Join(folder, shard), filepath.Join(elsewhere, "shard")),
		os.Symlink(filepath.Join(elsewhere, "shard"), filepath.Join(folder, shard)),
		os.Rename(folder, filepath.Join(elsewhere, "d")), os.Symlink(filepath.Join(elsewhere, "d"), folder)); err != nil {
		t.Fatal(err)
	}
	d := mustOpenDataset(t, b)
	if err := d.CheckSizes(t.Context()); err != nil {
		t.Error(err)
	}
	viewAll(t, trainSplit(t, newCache(t, d, t.TempDir(), 0)), stored)
	if err := os.Truncate(filepath.Join(elsewhere, "shard"), 1000); err != nil {
		t.Fatal(err)
	}
	if err := d.CheckSizes(t.Context()); !errors.Is(err, storage.ErrCorrupt) ||
		!strings.Contains(err.Error(), shard+" has 1000 bytes") {
		t.Errorf("compared: %v", err)
	}
}

// An index or a shard that the store falsely calls missing, once, is found.
func TestFalselyMissingObjectsAreAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, b, _ := storePacked(t, 50)
		missed := map[string]bool{}
		store.Plan(func(c storagetest.Call) storagetest.Fault {
			if c.Op == storagetest.Read && !missed[c.Key] {
				missed[c.Key] = true
				return storagetest.Missing
			}
			return storagetest.None
		})
		d, err := OpenDataset(t.Context(), b, "d")
		if err != nil {
			t.Fatal(err)
		}
		c := newCache(t, d, t.TempDir(), 0)
		for i := range d.Index.Splits["train"] {
			file, err := c.fetch(t.Context(), &d.Index.Splits["train"][i])
			if err != nil {
				t.Fatal(err)
			}
			if err := file.close(); err != nil {
				t.Fatal(err)
			}
		}
		if len(missed) != 1+len(d.Index.Splits["train"]) {
			t.Errorf("missed were %v", missed)
		}
	})
}
