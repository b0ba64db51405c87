package shards

import (
	"context"
	"time"

	"github.com/cijepa/cijepa/storage"
)

// work is one fetcher: it takes the absent shard that is needed first, again and again.
func (c *Cache) work(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed {
		shard := c.choose()
		if shard == nil {
			c.announce()
			c.changed.Wait()
			continue
		}
		if c.began.IsZero() {
			c.began = time.Now()
		}
		if shard.state == absent {
			c.used += shard.diskSize
		}
		shard.state = fetching
		c.mu.Unlock()
		file, err := c.fetch(ctx, shard.Shard)
		c.mu.Lock()
		c.arrived(shard, file, err)
		c.changed.Broadcast()
	}
}

// arrived notes how a fetch has ended.
func (c *Cache) arrived(shard *cachedShard, file *shardFile, err error) {
	if err == nil {
		shard.state, shard.file = ready, file
		if c.pulled >= 0 {
			c.pulled += shard.Size
		}
		return
	}
	c.used -= shard.diskSize
	if storage.IsDiskFull(err) && c.shrink(shard) {
		shard.state = absent
		return
	}
	shard.state, shard.err = failed, err
	if !c.closed {
		c.log.Error("shard could not be fetched", "shard", shard.Name, "error", err)
	}
}

// announce says once that everything is here that has been asked for, or as much of it as there is room for.
func (c *Cache) announce() {
	if c.pulled <= 0 {
		return
	}
	for _, split := range c.splits {
		for _, shard := range split.shards {
			if shard.state == fetching {
				return
			}
		}
	}
	seconds := time.Since(c.began).Seconds()
	c.log.Info("pulled", "bytes", c.pulled, "seconds", seconds, "mb_per_second", float64(c.pulled)/1e6/seconds, "dir", c.dir)
	c.pulled = -1
}

// shrink lowers the limit to what the disk has turned out to hold. It reports whether that is enough to go on with.
func (c *Cache) shrink(shard *cachedShard) bool {
	if c.used < max(c.window, shard.diskSize) {
		return false
	}
	c.log.Warn("disk is full: the cache shrinks to what it holds", "dir", c.dir, "limit", c.limit, "holds", c.used)
	c.limit = c.used
	return true
}

// choose returns the absent or resting shard to fetch next, after making room for it, or nil when there is none or no room.
func (c *Cache) choose() *cachedShard {
	var first *cachedShard
	for _, split := range c.splits {
		for _, shard := range split.shards {
			wanted := (shard.state == absent || shard.state == onDisk) && (shard.waiting > 0 || shard.next != unplanned)
			if wanted && (first == nil || shard.before(first)) {
				first = shard
			}
		}
	}
	if first == nil || !c.evictFor(first) {
		return nil
	}
	return first
}
