package input

import (
	"slices"

	"github.com/cijepa/cijepa/model/draw"
)

// order is the sequence of samples of every epoch: the shards are permuted and cut into windows,
// and the samples of a window are permuted together. Only the shards of one window are needed at a
// time, and there is no shuffle buffer to checkpoint. Sample j of shard i has the number first[i] +
// j.
type order struct {
	seed    uint64
	first   []int // the first sample of every shard, then the number of all samples
	window  int   // shards
	shuffle bool
}

func newOrder(seed uint64, sizes []int, window int, shuffle bool) order {
	first := make([]int, len(sizes)+1)
	for i, n := range sizes {
		first[i+1] = first[i] + n
	}
	return order{seed: seed, first: first, window: window, shuffle: shuffle}
}

// total returns the number of all samples.
func (o order) total() int { return o.first[len(o.first)-1] }

// locate returns the shard of a sample and its index in it.
func (o order) locate(sample int) (shard, index int) {
	// The last shard that does not begin after the sample; shards may be empty.
	i, _ := slices.BinarySearch(o.first, sample+1)
	return i - 1, sample - o.first[i-1]
}

// shards returns all shards in the order of the epoch.
func (o order) shards(epoch int64) []int {
	n := len(o.first) - 1
	if o.shuffle {
		return draw.New(o.seed, "shards", uint64(epoch)).Perm(n)
	}
	shards := make([]int, n)
	for i := range shards {
		shards[i] = i
	}
	return shards
}

// samples returns all samples in the order of the epoch.
func (o order) samples(epoch int64) []int32 {
	samples := make([]int32, 0, o.total())
	shards := o.shards(epoch)
	for begin := 0; begin < len(shards); begin += o.window {
		from := len(samples)
		for _, shard := range shards[begin:min(begin+o.window, len(shards))] {
			for sample := o.first[shard]; sample < o.first[shard+1]; sample++ {
				samples = append(samples, int32(sample))
			}
		}
		if o.shuffle {
			window := samples[from:]
			draw.New(o.seed, "samples", uint64(epoch), uint64(begin)).
				Shuffle(len(window), func(i, j int) { window[i], window[j] = window[j], window[i] })
		}
	}
	return samples
}

// windowEnd returns the position after the last sample of the window that begins at shards[begin].
func (o order) windowEnd(shards []int, begin int) (position int) {
	for _, shard := range shards[:min(begin+o.window, len(shards))] {
		position += o.first[shard+1] - o.first[shard]
	}
	return position
}

// windowAt returns the index in shards, an epoch's order, at which the window begins that holds the
// sample at position.
func (o order) windowAt(shards []int, position int) int {
	seen := 0
	for i, shard := range shards {
		seen += o.first[shard+1] - o.first[shard]
		if seen > position {
			return i - i%o.window
		}
	}
	return len(shards)
}
