package storage_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

func TestCreateHasOneWinner(t *testing.T) {
	const writers = 8
	rounds := 100
	if storagetest.Long() > 0 {
		rounds = 1000
	}
	storagetest.EachKind(t, func(t *testing.T, b *storage.Bucket) {
		for round := range rounds {
			key := fmt.Sprintf("race/%d", round)
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
			if n := won.Load(); n != 1 {
				t.Fatalf("round %d has %d winners", round, n)
			}
		}
		keys, err := b.List(t.Context(), "race/")
		if err != nil || len(keys) != rounds {
			t.Errorf("%d keys, %v", len(keys), err)
		}
	})
}
