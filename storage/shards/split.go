package shards

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cijepa/cijepa/storage"
)

// Split is one split of a cached dataset. Its samples can be read in any order.
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

// Ahead sets the plan of the split: the numbers of the shards in the order of their use, beginning
// with those in use now. A shard may appear more than once; one that does not appear is not needed.
// The plan decides what the cache fetches next and what it evicts first. Each call replaces the
// plan before, and none waits.
func (s *Split) Ahead(shards []int) {
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	for _, shard := range s.shards {
		shard.nextUse = unplanned
	}
	for place, shard := range slices.Backward(shards) {
		s.shards[shard].nextUse = place
	}
	s.cache.changed.Broadcast()
}

// Require returns an error unless the largest window shards of the split fit into the cache
// together. A loop over windows of shards would otherwise fetch the same shards again and again.
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

// View waits until the shard of a sample is local and calls f with the sample. label is its
// position in Index.Classes, or [NoLabel]. image is valid until f returns.
//
// An error of f is returned as it is. Any other error means that the shard cannot be read, after
// all retries: [storage.ErrCorrupt] if it is damaged or missing, [storage.ErrUnreachable] if the
// store or a full disk is the cause. Another call tries again.
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
		if viewed.diskSize > 0 || errors.Is(err, errUnreadable) { // the next attempt downloads it again
			return fmt.Errorf("shard %s: %w: %w; start the same run again", viewed.Name, storage.ErrUnreachable, err)
		}
		return fmt.Errorf("shard %s: %w: %w; put it back and start the same run again",
			viewed.Name, storage.ErrCorrupt, err)
	}
	return f(samples.Keys[sample], int(samples.Labels[sample]), *buffer)
}
