package shards

import (
	"slices"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/storage/storagetest"
)

// A full cache evicts the shard with the latest next use.
func TestShardWithTheLatestNextUseIsEvicted(t *testing.T) {
	b, d := packed(t, 100)
	dir := t.TempDir()
	size := d.Index.Splits["train"][0].Size
	c := newCache(t, d, dir, 4*size)
	s := trainSplit(t, c)
	local := func() []int {
		c.mu.Lock()
		defer c.mu.Unlock()
		var shards []int
		for i, shard := range s.shards {
			if shard.state == ready {
				shards = append(shards, i)
			}
		}
		return shards
	}
	s.Ahead([]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	eventually(t, "the first four are here", func() bool { return slices.Equal(local(), []int{0, 1, 2, 3}) })
	if n := len(storagetest.FileNames(t, dir)); n != 4 {
		t.Errorf("%d files in the cache", n)
	}
	// The window 0, 1 is done; 1 comes again soon, 0 late, and 2 and 3 are next.
	s.Ahead([]int{2, 3, 1, 4, 5, 6, 7, 8, 9, 0})
	eventually(t, "4 has taken the place of 0", func() bool { return slices.Equal(local(), []int{1, 2, 3, 4}) })
	viewAll(t, s, storagetest.Snapshot(t, b))
	here := slices.DeleteFunc(storagetest.FileNames(t, dir), func(name string) bool {
		return strings.HasSuffix(name, ".etag") // of a download under way
	})
	if len(here) > 4 {
		t.Errorf("the cache, which may hold 4 files, has %v", here)
	}
}

// A cache that cannot hold a shard or a window says so before the first fetch.
func TestCacheSmallerThanAWindowIsRefused(t *testing.T) {
	_, d := packed(t, 100)
	size := d.Index.Splits["train"][0].Size
	if _, err := NewCache(d, t.TempDir(), size-1, nil); err == nil ||
		!strings.Contains(err.Error(), "raise the cache size") {
		t.Errorf("a cache smaller than a shard: %v", err)
	}
	c := newCache(t, d, t.TempDir(), 4*size)
	s := trainSplit(t, c)
	if err := s.Require(4); err != nil {
		t.Error(err)
	}
	if err := s.Require(5); err == nil || !strings.Contains(err.Error(), "a window of 5 shards") {
		t.Errorf("a cache smaller than a window: %v", err)
	}
}
