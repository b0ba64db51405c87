package input

import (
	"slices"

	"github.com/cijepa/cijepa/model/draw"
)

// order knows the sequence of every epoch: shards permuted, cut into windows, the samples of a window permuted together.
// Only the shards of one window need to be at hand at a time, and there is no shuffle buffer to save. Samples are numbered
// through all shards: sample j of shard i is first[i] + j.
type order struct {
	seed    uint64
	first   []int // of every shard its first sample; then the number of all samples
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

func (o order) total() int { return o.first[len(o.first)-1] }

// locate returns the shard of a sample and its place in it.
func (o order) locate(sample int) (shard, place int) {
	// The last shard that does not begin behind the sample: shards may be empty.
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

// windowEnd returns the position behind the window that begins with the given one of the epoch's shards.
func (o order) windowEnd(shards []int, begin int) (position int) {
	for _, shard := range shards[:min(begin+o.window, len(shards))] {
		position += o.first[shard+1] - o.first[shard]
	}
	return position
}

// windowAt returns how many of the epoch's shards lie in windows before the one that holds the given position.
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
