package pack

import (
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// With every fifth call failing in some way a packing ends with the same bytes; where patience ends
// before, another call goes on.
func TestPackUnderFaults(t *testing.T) {
	clean := storagetest.Memory(t)
	mustPack(t, idxSourceOf(t, 100), clean, "d", PackOptions{PerShard: 10})
	want := storagetest.Snapshot(t, clean)
	for _, fault := range []storagetest.Fault{storagetest.Refused, storagetest.Unanswered, storagetest.UnansweredTwice, storagetest.Conflict, storagetest.Torn,
		storagetest.Cut, storagetest.CutQuietly, storagetest.Flipped, storagetest.Denied, storagetest.DeniedAsMissing} {
		t.Run(string(fault), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := storagetest.NewStore(t)
				b := store.Open(storage.Options{RetryTimeout: 5 * time.Second})
				random := rand.New(rand.NewPCG(3, 4))
				store.Plan(func(storagetest.Call) storagetest.Fault { // one call at a time
					if random.IntN(5) == 0 {
						return fault
					}
					return storagetest.None
				})
				var err error
				for range 20 {
					if _, _, err = Pack(t.Context(), idxSourceOf(t, 100), b, "d", PackOptions{PerShard: 10, TempDir: t.TempDir()}); err == nil {
						break
					}
				}
				if err != nil {
					t.Fatal(err)
				}
				store.Plan(nil)
				if diff := cmp.Diff(want, storagetest.Snapshot(t, b)); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// A listing that lags behind makes shards go up again, with the same bytes, and cannot hide an
// index.
func TestPackWithStaleListing(t *testing.T) {
	store := storagetest.NewStore(t)
	b := store.Open(storage.Options{})
	mustPack(t, idxSourceOf(t, 100), b, "d", PackOptions{PerShard: 10})
	want := storagetest.Snapshot(t, b)
	store.Plan(storagetest.Always(storagetest.Stale, storagetest.List))
	mustPack(t, idxSourceOf(t, 100), b, "d", PackOptions{PerShard: 10})
	_, _, err := Pack(t.Context(), idxSourceOf(t, 100), b, "d", PackOptions{PerShard: 10, Seed: 1, TempDir: t.TempDir()})
	if !errors.Is(err, storage.ErrExists) {
		t.Errorf("another dataset: %v, want ErrExists", err)
	}
	store.Plan(nil)
	if diff := cmp.Diff(want, storagetest.Snapshot(t, b)); diff != "" {
		t.Error(diff)
	}
}
