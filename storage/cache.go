package storage

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Cache holds shards of a dataset on the local disk, mapped into memory, and fetches them in the order in which they will be used:
// what its splits are told by Ahead is fetched in the background, what View waits for comes before that. When the limit is reached
// the shard that is needed last gives way.
//
// Shards of a file:// bucket are mapped where they lie; they take no space and are not evicted. Every shard is checked against its
// SHA-256 before its first use in this process. The files are named by their checksums, so processes and datasets may share a
// directory; the limit is that of one process.
type Cache struct {
	dataset *Dataset
	dir     string
	log     *slog.Logger
	splits  map[string]*Split

	cancel  context.CancelFunc
	workers sync.WaitGroup

	mu       sync.Mutex // guards everything below and the state of every cachedShard
	changed  *sync.Cond // a shard's state, a plan, the room or closed
	limit    int64      // of used; math.MaxInt64 without one
	used     int64      // bytes of the shards that are here or on their way, mapped-in-place ones apart
	window   int64      // bytes of the largest window that somebody relies on
	starving bool       // a fetch waits until some shard is neither looked at nor waited for
	thrashed bool       // the warning has been given
	closed   bool
}

// fetchers is how many shards are on their way at once: one S3 stream seldom gives 100 MB/s.
const fetchers = 8

// NewCache starts a cache of d's shards in dir, which is made if it is missing and may hold the shards of earlier processes. limit is
// the most bytes that it keeps there; 0 or less means all that is needed. The caller must Close it.
func NewCache(d *Dataset, dir string, limit int64, log *slog.Logger) (*Cache, error) {
	if limit <= 0 {
		limit = math.MaxInt64
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Cache{dataset: d, dir: dir, log: log, limit: limit, splits: map[string]*Split{}}
	c.changed = sync.NewCond(&c.mu)
	inPlace := d.bucket.dir != ""
	for name, shards := range d.Index.Splits {
		split := &Split{cache: c, name: name}
		for i := range shards {
			shard := &cachedShard{Shard: &shards[i], split: split, next: unplanned}
			if !inPlace {
				shard.room = shard.Size
			}
			if shard.room > limit {
				return nil, c.tooSmall(fmt.Sprintf("shard %s", shard.Name), shard.room)
			}
			split.shards = append(split.shards, shard)
		}
		c.splits[name] = split
	}
	if !inPlace {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return nil, fmt.Errorf("making the cache: %w; choose a directory on a local disk that this process may write to", err)
		}
		c.findResting()
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	for range fetchers {
		c.workers.Go(func() { c.work(ctx) })
	}
	return c, nil
}

// findResting takes stock of what earlier processes have left.
func (c *Cache) findResting() {
	for _, split := range c.splits {
		for _, shard := range split.shards {
			if info, err := os.Stat(c.whole(shard.Shard)); err == nil && info.Size() == shard.Size {
				shard.state = resting
				c.used += shard.room
			}
		}
	}
}

// whole is the name of a shard's file.
func (c *Cache) whole(shard *Shard) string { return filepath.Join(c.dir, shard.SHA256+".tar") }

// Split returns the named split. It is the same for every call, with one plan; so two loops at once over one split need two caches.
func (c *Cache) Split(name string) (*Split, error) {
	if split, ok := c.splits[name]; ok {
		return split, nil
	}
	return nil, fmt.Errorf("the dataset has no split %q; it has %s", name, strings.Join(sortedKeys(c.splits), ", "))
}

// Close ends all fetching and gives the memory back once no View is running. Whole shards and parts of shards stay in the directory
// for the next process. Later Views fail.
func (c *Cache) Close() error {
	c.cancel()
	c.mu.Lock()
	c.closed = true
	c.changed.Broadcast()
	c.mu.Unlock()
	c.workers.Wait()

	c.mu.Lock()
	defer c.mu.Unlock()
	var first error
	for _, split := range c.splits {
		for _, shard := range split.shards {
			for shard.pins > 0 {
				c.starving = true
				c.changed.Wait()
			}
			if shard.file != nil {
				if err := shard.file.close(); err != nil && first == nil {
					first = err
				}
				shard.file, shard.state = nil, absent
			}
		}
	}
	return first
}

func (c *Cache) tooSmall(what string, bytes int64) error {
	return fmt.Errorf("the cache may hold %s, but %s needs %s: raise the cache size or use a smaller window", megabytes(c.limit), what, megabytes(bytes))
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

// A shard is absent until a worker takes it, fetching while it comes, and then ready or failed. It is resting instead of absent when an
// earlier process has left it on the disk, where it takes space but has not been checked.
type shardState int

const (
	absent shardState = iota
	resting
	fetching
	ready
	failed
)

// unplanned is the next use of a shard that is in no plan.
const unplanned = math.MaxInt

// cachedShard is what the cache knows of one shard. The cache's mutex guards it, apart from the bytes of file, which a pin keeps.
type cachedShard struct {
	*Shard
	split *Split
	room  int64 // bytes of the limit that it takes: its size, or nothing where it is mapped in place

	state   shardState
	file    *shardFile // of a ready shard
	err     error      // of a failed one
	next    int        // place in the split's plan
	pins    int        // Views looking at it
	waiting int        // Views waiting for it
}

// before tells which of two shards is needed first.
func (s *cachedShard) before(other *cachedShard) bool {
	if (s.waiting > 0) != (other.waiting > 0) {
		return s.waiting > 0
	}
	return s.next < other.next
}

// work is one fetcher: it takes the absent shard that is needed first, again and again.
func (c *Cache) work(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed {
		shard := c.choose()
		if shard == nil {
			c.changed.Wait()
			continue
		}
		if shard.state == absent {
			c.used += shard.room
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
		return
	}
	c.used -= shard.room
	if diskFull(err) && c.shrink(shard) {
		shard.state = absent
		return
	}
	shard.state, shard.err = failed, err
	if !c.closed {
		c.log.Error("shard could not be fetched", "shard", shard.Name, "error", err)
	}
}

// shrink lowers the limit to what the disk has turned out to hold. It reports whether that is enough to go on with.
func (c *Cache) shrink(shard *cachedShard) bool {
	if c.used < max(c.window, shard.room) {
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
			wanted := (shard.state == absent || shard.state == resting) && (shard.waiting > 0 || shard.next != unplanned)
			if wanted && (first == nil || shard.before(first)) {
				first = shard
			}
		}
	}
	if first == nil || !c.makeRoom(first) {
		return nil
	}
	return first
}

// makeRoom evicts what is needed last until the shard fits. A shard that nobody waits for yet does not drive out what is needed sooner.
func (c *Cache) makeRoom(shard *cachedShard) bool {
	need := shard.room
	if shard.state == resting {
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
			here := other.state == ready || other.state == resting
			if !here || other == shard || other.room == 0 || shard.waiting == 0 && other.next <= shard.next {
				continue
			}
			if other.pins > 0 || other.waiting > 0 {
				c.starving = true
				continue
			}
			candidates = append(candidates, other)
			room += other.room
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

// evict takes a shard off this process's map and off the disk, unless another process has it mapped.
func (c *Cache) evict(shard *cachedShard) {
	var err error
	if shard.state == resting {
		err = removeResting(c.whole(shard.Shard))
	} else {
		err = shard.file.remove()
	}
	if err != nil {
		c.log.Warn("evicted shard could not be deleted", "shard", shard.Name, "error", err)
	}
	shard.file, shard.state = nil, absent
	c.used -= shard.room
}
