package job

import (
	"context"

	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/storage/shards"
)

// place is one sample of a split.
type place struct{ shard, sample int }

// spread chooses up to n samples of a split, as evenly over its classes as their order allows: of every class the first
// ones. Where classes are mixed, as in what this program packs, they lie in the first few shards.
func spread(shards []shards.Shard, classes, n int) []place {
	most := (n + classes - 1) / classes
	taken := make([]int, classes)
	var chosen []place
	for i, shard := range shards {
		for k, label := range shard.Samples.Labels {
			if len(chosen) == n {
				return chosen
			}
			if taken[label] < most {
				taken[label]++
				chosen = append(chosen, place{i, k})
			}
		}
	}
	return chosen
}

// subset is a split of which only some samples are read, as one shard.
type subset struct {
	split  input.Source
	places []place
}

// Samples is the one shard.
func (s subset) Samples() []int { return []int{len(s.places)} }

// Ahead tells nobody: the order in which training needs the shards is the one that counts.
func (s subset) Ahead([]int) {}

// View shows a sample of the split.
func (s subset) View(ctx context.Context, _, sample int, f func(key string, label int, image []byte) error) error {
	p := s.places[sample]
	return s.split.View(ctx, p.shard, p.sample, f)
}
