package shards

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Cache holds shards of a dataset on the local disk and fetches them in the order in which they will be used: what its splits are told
// by Ahead is fetched in the background, what View waits for comes before that. When the limit is reached the shard that is needed last
// gives way. Whoever goes through windows of shards asks Require first whether one fits.
//
// Shards of a file:// bucket are read where they lie; they take no space and are not evicted. Every shard is checked against its
// SHA-256 before its first use in this process. The files are named by their checksums, so processes and datasets may share a
// directory; the limit is that of one process.
type Cache struct {
	dataset *Dataset
	dir     string
	log     *slog.Logger
	splits  map[string]*Split
	buffers sync.Pool // of *[]byte: the encoded images that Views are looking at

	cancel  context.CancelFunc
	workers sync.WaitGroup

	mu              sync.Mutex // guards everything below and the state of every cachedShard
	changed         *sync.Cond // a shard's state, a plan, the room or closed
	limit           int64      // of used; math.MaxInt64 without one
	used            int64      // bytes of the shards that are here or on their way, those read in place apart
	window          int64      // bytes of the largest window that somebody relies on
	evictionBlocked bool       // a fetch waits until some shard is neither looked at nor waited for
	thrashed        bool       // the warning has been given
	closed          bool

	// For the one line that says that the data is here.
	began  time.Time // of the first fetch
	pulled int64     // bytes of the shards fetched so far; -1 after that line
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
	c.buffers.New = func() any { return new([]byte) }
	inPlace := d.InPlace()
	for name, shards := range d.Index.Splits {
		split := &Split{cache: c, name: name}
		for i := range shards {
			shard := &cachedShard{Shard: &shards[i], split: split, next: unplanned}
			if !inPlace {
				shard.diskSize = shard.Size
			}
			if shard.diskSize > limit {
				return nil, c.tooSmall(fmt.Sprintf("shard %s", shard.Name), shard.diskSize)
			}
			split.shards = append(split.shards, shard)
		}
		c.splits[name] = split
	}
	if !inPlace {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return nil, fmt.Errorf("making the cache: %w; choose a directory on a local disk that this process may write to", err)
		}
		c.findOnDisk()
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	for range fetchers {
		c.workers.Go(func() { c.work(ctx) })
	}
	return c, nil
}

// findOnDisk takes stock of what earlier processes have left.
func (c *Cache) findOnDisk() {
	for _, split := range c.splits {
		for _, shard := range split.shards {
			if info, err := os.Stat(c.shardPath(shard.Shard)); err == nil && info.Size() == shard.Size {
				shard.state = onDisk
				c.used += shard.diskSize
			}
		}
	}
}

// shardPath is the name of a shard's file.
func (c *Cache) shardPath(shard *Shard) string { return filepath.Join(c.dir, shard.SHA256+".tar") }

// Split returns the named split. It is the same for every call, with one plan; so two loops at once over one split need two caches.
func (c *Cache) Split(name string) (*Split, error) {
	if split, ok := c.splits[name]; ok {
		return split, nil
	}
	return nil, fmt.Errorf("the dataset has no split %q; it has %s", name, strings.Join(slices.Sorted(maps.Keys(c.splits)), ", "))
}

// Close ends all fetching and closes the files once no View is running. Whole shards and parts of shards stay in the directory
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
				c.evictionBlocked = true
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
	onDisk
	fetching
	ready
	failed
)

// unplanned is the next use of a shard that is in no plan.
const unplanned = math.MaxInt

// cachedShard is what the cache knows of one shard. The cache's mutex guards it, apart from the bytes of file, which a pin keeps.
type cachedShard struct {
	*Shard
	split    *Split
	diskSize int64 // bytes of the limit that it takes: its size, or nothing where it is read in place

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

var errCacheClosed = errors.New("the cache is closed")

// pin waits until the shard is ready and keeps it from being evicted.
func (c *Cache) pin(ctx context.Context, shard *cachedShard) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if shard.state != ready {
		if err := c.await(ctx, shard); err != nil {
			return err
		}
	}
	if c.closed {
		return errCacheClosed
	}
	shard.pins++
	return nil
}

// await has the shard fetched before all others and waits for it.
func (c *Cache) await(ctx context.Context, shard *cachedShard) error {
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changed.Broadcast()
	})
	defer stop()
	if shard.state == failed {
		shard.state, shard.err = absent, nil
	}
	shard.waiting++
	defer func() {
		shard.waiting--
		c.evictionMayGoOn(shard)
	}()
	c.changed.Broadcast()
	for shard.state != ready {
		switch {
		case c.closed:
			return errCacheClosed
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case shard.state == failed:
			return shard.err
		}
		c.changed.Wait()
	}
	return nil
}

func (c *Cache) unpin(shard *cachedShard) {
	c.mu.Lock()
	defer c.mu.Unlock()
	shard.pins--
	c.evictionMayGoOn(shard)
}

// evictionMayGoOn lets a fetch look for room again that found this shard in use.
func (c *Cache) evictionMayGoOn(shard *cachedShard) {
	if c.evictionBlocked && shard.pins == 0 && shard.waiting == 0 {
		c.evictionBlocked = false
		c.changed.Broadcast()
	}
}
