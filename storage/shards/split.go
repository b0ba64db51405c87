package shards

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cijepa/cijepa/storage"
)

// Split is one split of a cached dataset: its samples, readable at any place in any order.
type Split struct {
	cache  *Cache
	name   string
	shards []*cachedShard
}

// Samples returns the number of samples of every shard. It never changes.
func (s *Split) Samples() []int {
	counts := make([]int, len(s.shards))
	for i, shard := range s.shards {
		counts[i] = shard.Samples.Len()
	}
	return counts
}

// Ahead tells the shards that will be used next, in this order; a shard that is used again may appear again. The first ones are those in
// use now, and a shard that does not appear is taken as not needed. Every call replaces what the last one told. It does not wait.
func (s *Split) Ahead(shards []int) {
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	for _, shard := range s.shards {
		shard.next = unplanned
	}
	for place, shard := range slices.Backward(shards) {
		s.shards[shard].next = place
	}
	s.cache.changed.Broadcast()
}

// Require makes sure that the given number of shards, whichever they are, fit into the cache together. A loop whose window they are
// would otherwise fetch the same shards again and again.
func (s *Split) Require(window int) error {
	sizes := make([]int64, len(s.shards))
	for i, shard := range s.shards {
		sizes[i] = shard.diskSize
	}
	slices.Sort(sizes)
	var sum int64
	for _, size := range sizes[max(0, len(sizes)-window):] {
		sum += size
	}
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	s.cache.window = max(s.cache.window, sum)
	if sum > s.cache.limit {
		return s.cache.tooSmall(fmt.Sprintf("a window of %d shards of %s", window, s.name), sum)
	}
	return nil
}

// View calls f with one sample, waiting until its shard is here. label is its place in Index.Classes, or NoLabel. image is valid during f
// only. An error of f comes back as it is. Any other error means that the shard
// cannot be had (ErrCorrupt, also where it is gone, ErrUnreachable, a full disk), after all retries; another call tries again.
func (s *Split) View(ctx context.Context, shard, sample int, f func(key string, label int, image []byte) error) error {
	if shard < 0 || shard >= len(s.shards) || sample < 0 || sample >= s.shards[shard].Samples.Len() {
		return fmt.Errorf("split %s has no sample %d in shard %d", s.name, sample, shard)
	}
	viewed := s.shards[shard]
	if err := s.cache.pin(ctx, viewed); err != nil {
		return fmt.Errorf("shard %s: %w", viewed.Name, err)
	}
	defer s.cache.unpin(viewed)
	samples := &viewed.Samples
	buffer := s.cache.buffers.Get().(*[]byte)
	defer s.cache.buffers.Put(buffer)
	*buffer = slices.Grow((*buffer)[:0], int(samples.Lengths[sample]))[:samples.Lengths[sample]]
	if err := viewed.file.read(*buffer, samples.Offsets[sample]); err != nil {
		if viewed.diskSize > 0 || errors.Is(err, errUnreadable) { // the next attempt fetches a copy again
			return fmt.Errorf("shard %s: %w: %w; start the same run again", viewed.Name, storage.ErrUnreachable, err)
		}
		return fmt.Errorf("shard %s: %w: %w; put it back and start the same run again", viewed.Name, storage.ErrCorrupt, err)
	}
	return f(samples.Keys[sample], int(samples.Labels[sample]), *buffer)
}
