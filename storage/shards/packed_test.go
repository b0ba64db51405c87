package shards

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// samplesPerShard is the size of the shards of putPacked.
const samplesPerShard = 10

// putPacked stores a dataset below d/: n training and n/5 validation samples in three classes, in
// shards of samplesPerShard, all equally large. The images are 1,000 bytes that name the sample;
// nothing here decodes them.
func putPacked(t *testing.T, b *storage.Bucket, n int) *Dataset {
	t.Helper()
	ix := Index{Version: IndexVersion, Classes: []string{"ant", "bee", "cat"}, Counts: map[string]int{},
		Splits: map[string][]Shard{}}
	for split, total := range map[string]int{"train": n, "val": n / 5} {
		ix.Counts[split] = total
		for first := 0; first < total; first += samplesPerShard {
			shard, data := packShard(t, split, first, min(first+samplesPerShard, total))
			if _, err := b.PutBytes(t.Context(), "d/"+shard.Name, data); err != nil {
				t.Fatal(err)
			}
			ix.Splits[split] = append(ix.Splits[split], shard)
		}
	}
	if err := CreateIndex(t.Context(), b, "d", ix); err != nil {
		t.Fatal(err)
	}
	return mustOpenDataset(t, b)
}

// packShard makes the tar file of the samples first to last-1 of a split, and its entry in the
// index.
func packShard(t *testing.T, split string, first, last int) (Shard, []byte) {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	shard := Shard{Name: fmt.Sprintf("%s-%06d.tar", split, first/samplesPerShard)}
	for i := first; i < last; i++ {
		key, image := fmt.Sprintf("%08d", i), bytes.Repeat(fmt.Appendf(nil, "%-6s%04d", split, i), 100)
		if err := w.WriteHeader(&tar.Header{Name: key + ".jpg", Size: int64(len(image)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		shard.Samples.Add(key, int64(out.Len()), int64(len(image)), int32(i%3))
		if _, err := w.Write(image); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(out.Bytes())
	shard.Size, shard.SHA256 = int64(out.Len()), hex.EncodeToString(sum[:])
	return shard, out.Bytes()
}

// packed is a dataset of n training samples in an empty bucket in memory.
func packed(t *testing.T, n int) (*storage.Bucket, *Dataset) {
	t.Helper()
	b := storagetest.Memory(t)
	return b, putPacked(t, b, n)
}

// storePacked is packed, but in a store that fails on demand.
func storePacked(t *testing.T, n int) (*storagetest.Store, *storage.Bucket, *Dataset) {
	t.Helper()
	store := storagetest.NewStore(t)
	b := store.Open(storage.Options{RetryTimeout: time.Minute})
	return store, b, putPacked(t, b, n)
}

func mustOpenDataset(t *testing.T, b *storage.Bucket) *Dataset {
	t.Helper()
	d, err := OpenDataset(t.Context(), b, "d")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func newCache(t *testing.T, d *Dataset, dir string, limit int64) *Cache {
	t.Helper()
	c, err := NewCache(d, dir, limit, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func trainSplit(t *testing.T, c *Cache) *Split {
	t.Helper()
	s, err := c.Split("train")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// viewAll reads every sample of a split and compares it with the stored shard.
func viewAll(t *testing.T, s *Split, stored map[string]string) {
	t.Helper()
	for i, n := range s.Samples() {
		shard := s.shards[i].Shard
		data := stored["d/"+shard.Name]
		for j := range n {
			err := s.View(t.Context(), i, j, func(key string, label int, image []byte) error {
				want := data[shard.Samples.Offsets[j]:][:shard.Samples.Lengths[j]]
				if key != shard.Samples.Keys[j] || label != int(shard.Samples.Labels[j]) || string(image) != want {
					t.Errorf("sample %d of shard %d is %s with label %d and %d bytes", j, i, key, label, len(image))
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
