package storage_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// A read that is cut again and again resumes at its offset and returns every byte once.
func TestCutReadsAreResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storagetest.NewStore(t)
		b := store.Open(storage.Options{})
		data := storagetest.RandomBytes(3*storage.AheadBlock + 1)
		o, err := b.PutBytes(t.Context(), "x", data)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range []storagetest.Fault{storagetest.Cut, storagetest.CutQuietly} {
			store.Plan(func(c storagetest.Call) storagetest.Fault {
				if c.N <= 12 { // each connection gives half of what it was asked for
					return fault
				}
				return storagetest.None
			})
			r, err := b.Read(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			r.Close()
			if calls := store.Calls(); err != nil || !bytes.Equal(got, data) || calls != 12+1+3 {
				t.Errorf("%s: %d bytes over %d connections, %v", fault, len(got), calls, err)
			}
		}
		// An object that is replaced between two connections is never mixed.
		data = data[:1<<16]
		if o, err = b.PutBytes(t.Context(), "x", data); err != nil {
			t.Fatal(err)
		}
		store.Plan(storagetest.Nth(1, storagetest.Cut))
		r, err := b.Read(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, err := b.PutBytes(t.Context(), "x", data); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(r); !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("half of one object and half of another: %v", err)
		}
	})
}

// A reader that is closed early leaves no goroutine and no connection behind, however large the
// object is.
func TestReadsCanBeAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := storagetest.NewStore(t).Open(storage.Options{})
		o, err := b.PutBytes(t.Context(), "x", make([]byte, 9*storage.AheadBlock))
		if err != nil {
			t.Fatal(err)
		}
		r, err := b.Read(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, storage.AheadBlock+1)); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// An object of another size or checksum than its record is corrupt, and a missing one is not found.
func TestReadComparesSizeAndChecksum(t *testing.T) {
	storagetest.EachKind(t, func(t *testing.T, b *storage.Bucket) {
		o, err := b.PutBytes(t.Context(), "x", []byte("some bytes"))
		if err != nil {
			t.Fatal(err)
		}
		for name, wrong := range map[string]storage.Object{
			"other bytes": {o.Key, o.Size, hexSum([]byte("other byte"))},
			"other size":  {o.Key, o.Size + 1, o.SHA256},
		} {
			r, err := b.Read(t.Context(), wrong)
			if err == nil {
				_, err = io.ReadAll(r)
				r.Close()
			}
			if !errors.Is(err, storage.ErrCorrupt) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := b.Read(t.Context(), storage.Object{Key: "y"}); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("missing object: %v", err)
		}
	})
}
