package shards

import (
	"cmp"
	"slices"
	"strings"
)

// evictFor evicts the shards with the latest next use until the given one fits, and reports whether
// it does. For a shard that no View waits for, only shards are evicted whose next use comes later.
func (c *Cache) evictFor(shard *cachedShard) bool {
	need := shard.diskSize
	if shard.state == onDisk {
		need = 0
	}
	if need <= c.limit-c.used {
		return true
	}
	candidates, bytes := c.evictable(shard)
	if need > c.limit-c.used+bytes {
		return false
	}
	slices.SortFunc(candidates, func(a, b *cachedShard) int { return -compareNextUse(a, b) })
	for _, other := range candidates {
		if need <= c.limit-c.used {
			break
		}
		if other.nextUse <= shard.nextUse && shard.nextUse != unplanned && !c.thrashed {
			c.thrashed = true
			c.log.Warn("the cache is smaller than the window in use: shards are fetched again and again; "+
				"raise the cache size or use a smaller window", "limit", c.limit, "dir", c.dir)
		}
		c.evict(other)
	}
	return true
}

// evictable returns the shards that may be evicted for the given one, and the bytes that they take.
func (c *Cache) evictable(shard *cachedShard) (candidates []*cachedShard, bytes int64) {
	for _, split := range c.splits {
		for _, other := range split.shards {
			here := other.state == ready || other.state == onDisk
			if !here || other == shard || other.diskSize == 0 || shard.waiters == 0 && other.nextUse <= shard.nextUse {
				continue
			}
			if other.pins > 0 || other.waiters > 0 {
				c.evictionBlocked = true
				continue
			}
			candidates = append(candidates, other)
			bytes += other.diskSize
		}
	}
	return candidates, bytes
}

func compareNextUse(a, b *cachedShard) int {
	return cmp.Or(cmp.Compare(a.nextUse, b.nextUse), strings.Compare(a.Name, b.Name))
}

// evict deletes a shard's file, unless another process has it open.
func (c *Cache) evict(shard *cachedShard) {
	var err error
	if shard.state == onDisk {
		err = removeOnDisk(c.shardPath(shard.Shard))
	} else {
		err = shard.file.remove()
	}
	if err != nil {
		c.log.Warn("evicted shard could not be deleted", "shard", shard.Name, "error", err)
	}
	shard.file, shard.state = nil, absent
	c.used -= shard.diskSize
}
