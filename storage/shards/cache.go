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

// Cache holds shards of a dataset on the local disk and fetches them in the order of their use:
// first those that a [Split.View] waits for, then, in the background, those of the plans that
// [Split.Ahead] sets. At the limit the shard with the latest next use is evicted. Call
// [Split.Require] first to check that a window of shards fits.
//
// Shards of a file:// bucket are read where they are; they take no space and are not evicted. Every
// shard is checked against its SHA-256 before its first use in this process. The files are named by
// their checksums, so processes and datasets may share a directory; the limit is that of one
// process.
type Cache struct {
	dataset *Dataset
	dir     string
	log     *slog.Logger
	splits  map[string]*Split
	buffers sync.Pool // of *[]byte: the encoded images of Views

	cancel  context.CancelFunc
	workers sync.WaitGroup

	mu              sync.Mutex // guards everything below and the state of every cachedShard
	changed         *sync.Cond // signals a change of a shard's state, of a plan, of limit, used or closed
	limit           int64      // of used; math.MaxInt64 without one
	used            int64      // bytes of the shards on disk or being fetched, except those read in place
	window          int64      // bytes of the largest window that Require has checked
	evictionBlocked bool       // a fetcher waits for a shard that is pinned or waited for
	thrashed        bool       // the warning has been logged
	closed          bool

	// For the one log line about the pulled data.
	began  time.Time // of the first fetch
	pulled int64     // bytes of the shards fetched so far; -1 after that line
}

// fetchers is the number of shards that are fetched at once, because one S3 connection seldom gives
// 100 MB/s.
const fetchers = 8

// NewCache starts a cache of d's shards in dir. It makes the directory if it is missing, and uses
// the shards that earlier processes left in it. limit is the most bytes that it keeps there; 0 or
// less means no limit. The caller must Close it.
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
			shard := &cachedShard{Shard: &shards[i], split: split, nextUse: unplanned}
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
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("making the cache: %w; "+
				"choose a directory on a local disk that this process may write to", err)
		}
		c.findOnDisk()
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	for range fetchers {
		c.workers.Go(func() { c.fetchLoop(ctx) })
	}
	return c, nil
}

// findOnDisk finds the shards that earlier processes have left.
func (c *Cache) findOnDisk() {
	for _, split := range c.splits {
		for _, shard := range split.shards {
			if info, err := os.Lstat(c.shardPath(shard.Shard)); err == nil && info.Size() == shard.Size {
				shard.state = onDisk
				c.used += shard.diskSize
			}
		}
	}
}

// shardPath returns the path of a shard's file.
func (c *Cache) shardPath(shard *Shard) string { return filepath.Join(c.dir, shard.SHA256+".tar") }

// Split returns the named split. Every call returns the same one, with one plan, so two loops over
// one split at once need two caches.
func (c *Cache) Split(name string) (*Split, error) {
	if split, ok := c.splits[name]; ok {
		return split, nil
	}
	return nil, fmt.Errorf("the dataset has no split %q; it has %s",
		name, strings.Join(slices.Sorted(maps.Keys(c.splits)), ", "))
}

// Close stops all fetching, waits for the Views under way and closes the files. Whole shards and
// parts of shards stay in the directory for the next process. Later Views fail.
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
	return fmt.Errorf("the cache may hold %s, but %s needs %s: raise the cache size or use a smaller window",
		megabytes(c.limit), what, megabytes(bytes))
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

// A shard is absent until a fetcher takes it, then fetching, and then ready or failed. It is onDisk
// instead of absent if an earlier process left its file: the file takes space, and has not been
// checked in this process.
type shardState int

const (
	absent shardState = iota
	onDisk
	fetching
	ready
	failed
)

// unplanned is the nextUse of a shard that is in no plan.
const unplanned = math.MaxInt

// cachedShard is the cache's record of one shard. The cache's mutex guards it. A pin keeps its file
// open, so that Views read without the mutex.
type cachedShard struct {
	*Shard
	split    *Split
	diskSize int64 // bytes that count against the limit: its size, or 0 if it is read in place

	state   shardState
	file    *shardFile // of a ready shard
	err     error      // of a failed one
	nextUse int        // position in the split's plan
	pins    int        // Views that read it
	waiters int        // Views that wait for it
}

// neededBefore reports whether s is needed before other.
func (s *cachedShard) neededBefore(other *cachedShard) bool {
	if (s.waiters > 0) != (other.waiters > 0) {
		return s.waiters > 0
	}
	return s.nextUse < other.nextUse
}

var errCacheClosed = errors.New("the cache is closed")

// pin waits until the shard is ready, and keeps it from being evicted until unpin.
func (c *Cache) pin(ctx context.Context, shard *cachedShard) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if shard.state != ready {
		if err := c.waitFor(ctx, shard); err != nil {
			return err
		}
	}
	if c.closed {
		return errCacheClosed
	}
	shard.pins++
	return nil
}

// waitFor makes the fetchers take the shard before all others, and waits until it is ready.
func (c *Cache) waitFor(ctx context.Context, shard *cachedShard) error {
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changed.Broadcast()
	})
	defer stop()
	if shard.state == failed {
		shard.state, shard.err = absent, nil
	}
	shard.waiters++
	defer func() {
		shard.waiters--
		c.unblockEviction(shard)
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
	c.unblockEviction(shard)
}

// unblockEviction wakes the fetchers that could evict nothing, if this shard is no longer in use.
func (c *Cache) unblockEviction(shard *cachedShard) {
	if c.evictionBlocked && shard.pins == 0 && shard.waiters == 0 {
		c.evictionBlocked = false
		c.changed.Broadcast()
	}
}
