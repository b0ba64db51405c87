package input

import (
	"context"
	"math"
	"slices"

	"github.com/cijepa/cijepa/model/draw"
)

// Share is a part of a Source: the same number of samples of every class, drawn by a seed. Smaller
// shares of a seed lie within larger ones. The shards are those of the source, with fewer samples.
type Share struct {
	source  Source
	chosen  [][]int // by shard: the samples of the source's shard
	numbers []int   // of the samples in the source, ascending: see Config.Bad
}

// NewShare chooses a share, in (0, 1], of the samples of a source whose labels these are, by shard.
// Of every class it takes share x samples / classes, rounded, but at least one; of a class that has
// fewer it takes all.
func NewShare(source Source, labels [][]int32, classes int, share float64, seed uint64) *Share {
	s := &Share{source: source, chosen: make([][]int, len(labels))}
	byClass := make([][][2]int, classes) // shard and sample
	total := 0
	for shard, of := range labels {
		for sample, label := range of {
			byClass[label] = append(byClass[label], [2]int{shard, sample})
		}
		total += len(of)
	}
	most := max(1, int(math.Round(share*float64(total)/float64(classes))))
	for class, samples := range byClass {
		order := draw.New(seed, "labels", uint64(class)).Perm(len(samples))
		for _, i := range order[:min(most, len(order))] {
			s.chosen[samples[i][0]] = append(s.chosen[samples[i][0]], samples[i][1])
		}
	}
	first := 0
	for shard, of := range labels {
		slices.Sort(s.chosen[shard])
		for _, sample := range s.chosen[shard] {
			s.numbers = append(s.numbers, first+sample)
		}
		first += len(of)
	}
	return s
}

// Samples returns the number of chosen samples of every shard.
func (s *Share) Samples() []int {
	counts := make([]int, len(s.chosen))
	for i, of := range s.chosen {
		counts[i] = len(of)
	}
	return counts
}

// Ahead announces the shards to the source.
func (s *Share) Ahead(shards []int) {
	s.source.Ahead(slices.DeleteFunc(slices.Clone(shards), func(shard int) bool { return len(s.chosen[shard]) == 0 }))
}

// View passes a chosen sample to f.
func (s *Share) View(ctx context.Context, shard, sample int, f func(key string, label int, image []byte) error) error {
	return s.source.View(ctx, shard, s.chosen[shard][sample], f)
}

// Inside returns the numbers within the share of those samples of the source that it has.
func (s *Share) Inside(numbers []int) (own []int) {
	for _, n := range numbers {
		if i, ok := slices.BinarySearch(s.numbers, n); ok {
			own = append(own, i)
		}
	}
	return own
}

// Outside returns the numbers in the source of samples of the share.
func (s *Share) Outside(own []int) (numbers []int) {
	for _, i := range own {
		numbers = append(numbers, s.numbers[i])
	}
	return numbers
}
