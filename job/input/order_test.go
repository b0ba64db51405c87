package input

import (
	"slices"
	"testing"
)

// TestOrderIsAPermutationByWindows, another one for every epoch and seed.
func TestOrderIsAPermutationByWindows(t *testing.T) {
	sizes := []int{5, 0, 3, 8, 1, 9, 2, 4, 6, 7, 3}
	for window := 1; window <= len(sizes)+1; window++ {
		o := newOrder(11, sizes, window, true)
		for epoch := range int64(5) {
			shards, samples := o.shards(epoch), o.samples(epoch)
			checkPermutation(t, len(sizes), shards)
			checkPermutation(t, o.total(), samples)
			// The shard of every sample belongs to the window of its position.
			for position, sample := range samples {
				begin := o.windowAt(shards, position)
				if begin%window != 0 {
					t.Fatalf("window %d: a window begins at shard %d", window, begin)
				}
				shard, index := o.locate(int(sample))
				if index < 0 || index >= sizes[shard] {
					t.Fatalf("sample %d has index %d in shard %d", sample, index, shard)
				}
				if !slices.Contains(shards[begin:min(begin+window, len(shards))], shard) {
					t.Fatalf("window %d: position %d has a sample of shard %d, not of its window", window, position, shard)
				}
			}
			if epoch > 0 && slices.Equal(samples, o.samples(epoch-1)) {
				t.Errorf("window %d: epochs %d and %d are alike", window, epoch-1, epoch)
			}
		}
		if slices.Equal(o.samples(0), newOrder(12, sizes, window, true).samples(0)) {
			t.Errorf("window %d: the seed does not matter", window)
		}
	}
}

// checkPermutation fails unless p holds 0..n-1, each once.
func checkPermutation[T int | int32](t *testing.T, n int, p []T) {
	t.Helper()
	sorted := slices.Sorted(slices.Values(p))
	if len(sorted) != n {
		t.Fatalf("%d numbers, want %d", len(sorted), n)
	}
	for i, v := range sorted {
		if int(v) != i {
			t.Fatalf("not a permutation: %v", p)
		}
	}
}

// TestOrderWithoutShufflingIsTheStoredOne in every epoch.
func TestOrderWithoutShufflingIsTheStoredOne(t *testing.T) {
	o := newOrder(1, []int{2, 0, 3}, 2, false)
	for epoch := range int64(3) {
		if got := o.samples(epoch); !slices.Equal(got, []int32{0, 1, 2, 3, 4}) {
			t.Errorf("epoch %d: %v", epoch, got)
		}
	}
}

// TestGoldenOrder fails if a Go release changes the order of a run.
func TestGoldenOrder(t *testing.T) {
	o := newOrder(42, []int{4, 3, 5, 2, 6}, 2, true)
	for epoch, want := range []struct {
		shards  []int
		samples []int32
	}{
		{[]int{3, 1, 2, 4, 0}, []int32{5, 4, 6, 12, 13, 18, 7, 9, 16, 15, 19, 8, 17, 11, 10, 14, 2, 1, 3, 0}},
		{[]int{0, 1, 3, 4, 2}, []int32{3, 5, 6, 2, 1, 0, 4, 19, 14, 18, 15, 12, 17, 16, 13, 8, 11, 9, 7, 10}},
	} {
		if got := o.shards(int64(epoch)); !slices.Equal(got, want.shards) {
			t.Errorf("epoch %d: shards %v, want %v", epoch, got, want.shards)
		}
		if got := o.samples(int64(epoch)); !slices.Equal(got, want.samples) {
			t.Errorf("epoch %d: samples %v, want %v", epoch, got, want.samples)
		}
	}
}

// FuzzOrder checks that every epoch of every split has each sample once.
func FuzzOrder(f *testing.F) {
	f.Add(uint64(1), []byte{3, 0, 5, 1}, uint8(2), uint16(0))
	f.Add(uint64(2), []byte{0, 0, 1}, uint8(9), uint16(700))
	f.Fuzz(func(t *testing.T, seed uint64, sizes []byte, window uint8, epoch uint16) {
		counts := make([]int, len(sizes))
		for i, n := range sizes {
			counts[i] = int(n)
		}
		o := newOrder(seed, counts, 1+int(window), true)
		checkPermutation(t, len(counts), o.shards(int64(epoch)))
		checkPermutation(t, o.total(), o.samples(int64(epoch)))
	})
}
