package storage_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// Of many writers that create one object at once, exactly one wins.
func TestCreateHasOneWinner(t *testing.T) {
	rounds := 100
	if storagetest.Long() > 0 {
		rounds = 1000
	}
	storagetest.EachKind(t, func(t *testing.T, b *storage.Bucket) { testRaces(t, b, rounds, 8) })
}

// testRaces: in each round as many writers as given create one object at once.
func testRaces(t *testing.T, b *storage.Bucket, rounds, writers int) {
	t.Helper()
	prefix := fmt.Sprintf("race-%d/", rounds)
	for round := range rounds {
		key := fmt.Sprintf("%s%06d", prefix, round)
		var won atomic.Int32
		var wg sync.WaitGroup
		for writer := range writers {
			wg.Go(func() {
				created, err := b.Create(t.Context(), key, fmt.Appendf(nil, "writer %d", writer))
				if err != nil {
					t.Error(err)
				}
				if created {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("round %d has %d winners", round, won.Load())
		}
	}
	keys, err := b.List(t.Context(), prefix)
	if err != nil || len(keys) != rounds {
		t.Errorf("%d keys, want %d; %v", len(keys), rounds, err)
	}
}
