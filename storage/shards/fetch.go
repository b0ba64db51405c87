package shards

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
	"time"

	"github.com/cijepa/cijepa/storage"
)

// fetchLoop is one fetcher: it fetches the shard that is needed first, until the cache is closed.
func (c *Cache) fetchLoop(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed {
		shard := c.nextToFetch()
		if shard == nil {
			c.logPulled()
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
		c.recordFetch(shard, file, err)
		c.changed.Broadcast()
	}
}

// nextToFetch returns the shard to fetch next, after evicting others for it. It returns nil if no
// shard is wanted or none can be evicted.
func (c *Cache) nextToFetch() *cachedShard {
	var first *cachedShard
	for _, split := range c.splits {
		for _, shard := range split.shards {
			wanted := (shard.state == absent || shard.state == onDisk) && (shard.waiters > 0 || shard.nextUse != unplanned)
			if wanted && (first == nil || shard.neededBefore(first)) {
				first = shard
			}
		}
	}
	if first == nil || !c.evictFor(first) {
		return nil
	}
	return first
}

// recordFetch updates a shard after its fetch.
func (c *Cache) recordFetch(shard *cachedShard, file *shardFile, err error) {
	if err == nil {
		shard.state, shard.file = ready, file
		if c.pulled >= 0 {
			c.pulled += shard.Size
		}
		return
	}
	c.used -= shard.diskSize
	if storage.IsDiskFull(err) && c.shrinkLimit(shard) {
		shard.state = absent
		return
	}
	shard.state, shard.err = failed, err
	if !c.closed {
		c.log.Error("shard could not be fetched", "shard", shard.Name, "error", err)
	}
}

// shrinkLimit lowers the limit to what the cache holds, because the disk is full. It reports
// whether that is enough for the largest window.
func (c *Cache) shrinkLimit(shard *cachedShard) bool {
	if c.used < max(c.window, shard.diskSize) {
		return false
	}
	c.log.Warn("disk is full: the cache shrinks to what it holds", "dir", c.dir, "limit", c.limit, "holds", c.used)
	c.limit = c.used
	return true
}

// logPulled logs once that every shard that is wanted and fits has been fetched, or opened.
func (c *Cache) logPulled() {
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
	if c.dataset.InPlace() {
		c.log.Info("shards are read in place", "bytes", c.pulled, "seconds", seconds)
	} else {
		c.log.Info("pulled", "bytes", c.pulled, "seconds", seconds,
			"mb_per_second", float64(c.pulled)/1e6/seconds, "dir", c.dir)
	}
	c.pulled = -1
}

// fetch makes a shard local: it opens the shard in place, finds it in the directory, or downloads
// it. A missing shard is [storage.ErrCorrupt] like a damaged one, because the index names it.
func (c *Cache) fetch(ctx context.Context, shard *Shard) (*shardFile, error) {
	object := c.dataset.object(shard)
	file, err := c.openOrDownload(ctx, shard, object)
	if errors.Is(err, storage.ErrNotFound) { // some stores answer 404 while they are in trouble
		c.log.Warn("a shard is not there and is asked for once more", "shard", shard.Name, "error", err)
		select {
		case <-time.After(missingWait):
			file, err = c.openOrDownload(ctx, shard, object)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	switch {
	case errors.Is(err, storage.ErrNotFound):
		err = fmt.Errorf("%s: %w: the index names it, but it is gone: %v; %s",
			object.Key, storage.ErrCorrupt, err, repairAdvice)
	case errors.Is(err, storage.ErrCorrupt):
		err = fmt.Errorf("%w; %s", err, repairAdvice)
	}
	return file, err
}

// missingWait is the wait before a missing shard is asked for again.
const missingWait = time.Second

// openOrDownload is fetch without its advice in the errors.
func (c *Cache) openOrDownload(ctx context.Context, shard *Shard, object storage.Object) (*shardFile, error) {
	if c.dataset.InPlace() {
		file, err := openShard(c.dataset.file(shard), shard.Size, shard.SHA256, false)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return nil, fmt.Errorf("%w: %w", storage.ErrNotFound, err)
		case errors.Is(err, errDamaged):
			return nil, fmt.Errorf("%w: %w", storage.ErrCorrupt, err)
		case errors.Is(err, errUnreadable):
			return nil, fmt.Errorf("%w: %w", storage.ErrUnreachable, err)
		case errors.Is(err, os.ErrPermission):
			return nil, c.dataset.bucket.WrapReadError(object.Key, err)
		}
		return file, err
	}
	whole := c.shardPath(shard)
	for {
		file, err := openShard(whole, shard.Size, shard.SHA256, true)
		switch {
		case err == nil:
			return file, nil
		case errors.Is(err, errDamaged), errors.Is(err, errUnreadable):
			c.log.Warn("cached shard is damaged and is downloaded again", "shard", shard.Name, "error", err)
			if err := os.Remove(whole); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
		case !errors.Is(err, os.ErrNotExist):
			return nil, err
		}
		file, err = c.download(ctx, shard.Name, object, whole)
		if storage.IsDiskFull(err) {
			err = fmt.Errorf("%w: %w; free space in %s, or give the cache a size limit that the disk can hold",
				storage.ErrUnreachable, err, c.dir)
		}
		if file != nil || err != nil {
			return file, err
		}
	}
}

// downloadTries is the number of downloads of a shard that arrives damaged. Bits flip in transfer
// now and then, and no driver notices it in a ranged read.
const downloadTries = 3

// download downloads a shard to a path, checks it and opens it. It resumes from the part that an
// earlier process left. It returns nil if another process has finished the shard meanwhile.
func (c *Cache) download(ctx context.Context, name string, object storage.Object, whole string) (*shardFile, error) {
	part := strings.TrimSuffix(whole, ".tar") + ".part"
	file, err := lockPart(ctx, part)
	if err != nil || file == nil {
		return nil, err
	}
	if _, err := os.Lstat(whole); err == nil { // another process finished it before this one made its part file
		return nil, errors.Join(os.Remove(part), file.Close())
	}
	start := time.Now()
	d := &download{
		bucket: c.dataset.bucket, object: object, file: file, revisionFile: part + ".etag", hash: sha256.New(),
	}
	for try := 1; ; try++ {
		err := d.run(ctx)
		if err == nil {
			break
		}
		if storage.IsDiskFull(err) { // free its space for the other shards that are being fetched
			err = errors.Join(err, os.Remove(part))
		}
		if !errors.Is(err, storage.ErrCorrupt) || try == downloadTries {
			return nil, errors.Join(err, file.Close())
		}
		c.log.Warn("shard arrived damaged and is downloaded again", "shard", name, "try", try, "error", err)
	}
	// No sync: a file that a power cut has torn fails the checksum of the next process and is
	// downloaded again. This process has hashed every byte just now.
	if err := errors.Join(os.Rename(part, whole), os.Remove(d.revisionFile)); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	c.log.Debug("shard fetched", "shard", name, "bytes", object.Size,
		"resumed_at", d.resumed, "seconds", time.Since(start).Seconds())
	return adoptShard(file, whole, object.Size, object.SHA256)
}

// download is the download of one shard into its part file. A file beside it holds the object's
// revision at the start of the download, so that a later process resumes only if the object is
// still the same.
type download struct {
	bucket       *storage.Bucket
	object       storage.Object
	file         *os.File
	revisionFile string
	hash         hash.Hash
	stored       int64 // bytes in the file and in the hash
	resumed      int64 // where the first connection began
}

// run downloads the rest of the shard and checks all of it. After [storage.ErrCorrupt] the file is
// empty again, or the object differs from the index.
func (d *download) run(ctx context.Context) error {
	if err := d.resume(ctx); err != nil {
		return err
	}
	d.resumed = d.stored
	if d.stored < d.object.Size {
		if err := d.receive(ctx); err != nil {
			return err
		}
	}
	if sum := hex.EncodeToString(d.hash.Sum(nil)); d.stored != d.object.Size || sum != d.object.SHA256 {
		return d.truncate(fmt.Errorf("%w: %s came as %d bytes with sha256 %s, the index says %d bytes with %s",
			storage.ErrCorrupt, d.object.Key, d.stored, sum, d.object.Size, d.object.SHA256))
	}
	return nil
}

// resume hashes what the file holds, or empties it if it belongs to another revision of the object.
func (d *download) resume(ctx context.Context) error {
	revision, err := d.bucket.Revision(ctx, d.object.Key)
	if err != nil {
		return err
	}
	began, err := os.ReadFile(d.revisionFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err != nil || string(began) != revision {
		if err := d.truncate(nil); err != nil {
			return err
		}
		// The revision is written before the first byte, so that a part file never lacks it.
		if err := writeOwn(d.revisionFile, []byte(revision)); err != nil {
			return err
		}
	}
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	d.hash.Reset()
	if d.stored, err = io.Copy(d.hash, d.file); err != nil {
		return err
	}
	if d.stored > d.object.Size {
		return d.truncate(fmt.Errorf("%w: %s has %d bytes already, of %d",
			storage.ErrCorrupt, d.file.Name(), d.stored, d.object.Size))
	}
	return nil
}

// writeOwn replaces the content of a file of the cache.
func writeOwn(name string, content []byte) error {
	file, err := openOwn(name)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Truncate(int64(len(content))), file.Close())
}

// receive downloads the object from the end of the file on.
func (d *download) receive(ctx context.Context) error {
	reader, err := d.bucket.OpenAt(ctx, d.object.Key, d.stored)
	if err != nil {
		return err
	}
	defer reader.Close()
	if reader.Size() != d.object.Size {
		return fmt.Errorf("%w: %s has %d bytes, the index says %d: it was replaced after packing",
			storage.ErrCorrupt, d.object.Key, reader.Size(), d.object.Size)
	}
	n, err := io.CopyBuffer(onlyWriter{io.MultiWriter(d.file, d.hash)}, reader, make([]byte, 1<<20))
	d.stored += n
	return err
}

// truncate empties the file and returns the reason.
func (d *download) truncate(reason error) error {
	d.stored = 0
	return errors.Join(reason, d.file.Truncate(0))
}

// onlyWriter hides ReadFrom from io.CopyBuffer, which would then ignore the buffer.
type onlyWriter struct{ io.Writer }
