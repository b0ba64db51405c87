package shards

import (
	"slices"
	"strings"
)

// evictFor evicts what is needed last until the shard fits. A shard that nobody waits for yet does not drive out what is needed sooner.
func (c *Cache) evictFor(shard *cachedShard) bool {
	need := shard.diskSize
	if shard.state == onDisk {
		need = 0
	}
	if need <= c.limit-c.used {
		return true
	}
	candidates, room := c.evictable(shard)
	if need > c.limit-c.used+room {
		return false
	}
	slices.SortFunc(candidates, func(a, b *cachedShard) int { return -compareNext(a, b) })
	for _, other := range candidates {
		if need <= c.limit-c.used {
			break
		}
		if other.next <= shard.next && shard.next != unplanned && !c.thrashed {
			c.thrashed = true
			c.log.Warn("the cache is smaller than the window in use: shards are fetched again and again; raise the cache size or use a smaller window",
				"limit", c.limit, "dir", c.dir)
		}
		c.evict(other)
	}
	return true
}

// evictable gives the shards that may give way to another one, and the room that they take.
func (c *Cache) evictable(shard *cachedShard) (candidates []*cachedShard, room int64) {
	for _, split := range c.splits {
		for _, other := range split.shards {
			here := other.state == ready || other.state == onDisk
			if !here || other == shard || other.diskSize == 0 || shard.waiting == 0 && other.next <= shard.next {
				continue
			}
			if other.pins > 0 || other.waiting > 0 {
				c.evictionBlocked = true
				continue
			}
			candidates = append(candidates, other)
			room += other.diskSize
		}
	}
	return candidates, room
}

func compareNext(a, b *cachedShard) int {
	switch {
	case a.next < b.next:
		return -1
	case a.next > b.next:
		return 1
	}
	return strings.Compare(a.Name, b.Name)
}

// evict takes a shard off the disk, unless another process has it open.
func (c *Cache) evict(shard *cachedShard) {
	var err error
	if shard.state == onDisk {
		err = removeResting(c.shardPath(shard.Shard))
	} else {
		err = shard.file.remove()
	}
	if err != nil {
		c.log.Warn("evicted shard could not be deleted", "shard", shard.Name, "error", err)
	}
	shard.file, shard.state = nil, absent
	c.used -= shard.diskSize
}
