package storage_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// A listing of several pages is complete and in order, without temporary files. A deletion of a
// missing object is no error.
func TestListingIsCompleteAndDeletionRepeatable(t *testing.T) {
	storagetest.EachKind(t, func(t *testing.T, b *storage.Bucket) {
		var want []string
		for i := range storage.ListPageSize + 5 { // two pages
			want = append(want, fmt.Sprintf("p/%05d", i))
			if _, err := b.PutBytes(t.Context(), want[i], nil); err != nil {
				t.Fatal(err)
			}
		}
		b.PutBytes(t.Context(), "q", nil)
		if dir, ok := b.LocalPath(""); ok { // what a killed writer leaves
			os.WriteFile(filepath.Join(dir, "p", "00001.18a2b3c4d5e6f708.tmp"), nil, 0o666)
		}
		got, err := b.List(t.Context(), "p/")
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d keys, want %d; %v", len(got), len(want), err)
		}
		for range 2 { // the second finds nothing, which is no error
			if err := b.Delete(t.Context(), "q"); err != nil {
				t.Error(err)
			}
		}
		if got, err := b.List(t.Context(), "q"); err != nil || len(got) > 0 {
			t.Errorf("after deletion: %v, %v", got, err)
		}
	})
}

// Keys that mean different things to different drivers are refused.
func TestAmbiguousKeysAreRefused(t *testing.T) {
	b := storagetest.Open(t, "mem://", quick(t))
	for _, key := range []string{"", "/a", "a/", "a//b", "../a", "a/../b", "a/.", "a\nb", "a\\b", "a\xff"} {
		if _, err := b.PutBytes(t.Context(), key, nil); err == nil {
			t.Errorf("key %q was taken", key)
		}
	}
}

// A record of which every read differs, and then none succeeds, is unreachable: nobody knows
// whether it is damaged.
func TestReadsThatNeverAgreeAreCorruptOrUnreachable(t *testing.T) {
	for last, want := range map[storagetest.Fault]error{storagetest.None: storage.ErrCorrupt,
		storagetest.Refused: storage.ErrUnreachable} {
		store := storagetest.NewStore(t)
		b := store.Open(storage.Options{RetryTimeout: 50 * time.Millisecond})
		if _, err := b.PutBytes(t.Context(), "x", storagetest.RandomBytes(1<<12)); err != nil {
			t.Fatal(err)
		}
		reads := 0
		store.Plan(func(c storagetest.Call) storagetest.Fault {
			if c.Op != storagetest.Read {
				return storagetest.None
			}
			switch reads++; {
			case reads > storage.AgreeTries:
				return last
			case reads%2 == 1:
				return storagetest.Flipped
			}
			return storagetest.None
		})
		if _, err := b.GetTwice(t.Context(), "x"); !errors.Is(err, want) {
			t.Errorf("%s at last: %v, want %v", last, err, want)
		}
	}
}

// A missing object is believed at once in an empty folder, and asked for again where others lie in
// its folder or nobody knows.
func TestMissingIsAskedForAgainWhereSomethingLies(t *testing.T) {
	for _, c := range []struct {
		beside string
		list   storagetest.Fault
		reads  int
	}{
		{"runs/other/run.json", storagetest.None, 1},
		{"runs/x/metrics/a", storagetest.None, 2},
		{"runs/other/run.json", storagetest.Refused, 2},
	} {
		store := storagetest.NewStore(t)
		b := store.Open(storage.Options{RetryTimeout: time.Millisecond})
		if _, err := b.PutBytes(t.Context(), c.beside, nil); err != nil {
			t.Fatal(err)
		}
		reads := 0
		store.Plan(func(call storagetest.Call) storagetest.Fault {
			if call.Op == storagetest.List {
				return c.list
			}
			reads++
			return storagetest.None
		})
		if _, err := b.GetTwice(t.Context(), "runs/x/run.json"); !errors.Is(err, storage.ErrNotFound) || reads != c.reads {
			t.Errorf("beside %s, a listing %q: asked %d times, want %d: %v", c.beside, c.list, reads, c.reads, err)
		}
	}
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
