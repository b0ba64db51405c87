package shards

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cijepa/cijepa/storage"
)

// downloadTries is how often a shard is downloaded anew when its bytes were wrong: a bit flips on the way now and then, and no driver
// notices it in a ranged read.
const downloadTries = 3

// fetch makes a shard local: opened where it lies, found in the directory, or downloaded. A shard that is gone is as corrupt as a damaged one:
// the index vouches for it.
func (c *Cache) fetch(ctx context.Context, shard *Shard) (*shardFile, error) {
	object := c.dataset.object(shard)
	file, err := c.obtain(ctx, shard, object)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		err = fmt.Errorf("%s: %w: the index names it, but it is gone: %v; %s", object.Key, storage.ErrCorrupt, err, repairAdvice)
	case errors.Is(err, storage.ErrCorrupt):
		err = fmt.Errorf("%w; %s", err, repairAdvice)
	}
	return file, err
}

// obtain is fetch with the errors as they come.
func (c *Cache) obtain(ctx context.Context, shard *Shard, object storage.Object) (*shardFile, error) {
	if c.dataset.InPlace() {
		file, err := openShard(c.dataset.file(shard), shard.Size, shard.SHA256)
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
		file, err := openShard(whole, shard.Size, shard.SHA256)
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
			err = fmt.Errorf("%w: %w; free space in %s, or give the cache a size limit that the disk can hold", storage.ErrUnreachable, err, c.dir)
		}
		if file != nil || err != nil {
			return file, err
		}
	}
}

// download puts a whole, checked shard at the given place, going on from what is there of it, and opens it. It returns nil when another
// process has finished that shard meanwhile.
func (c *Cache) download(ctx context.Context, name string, object storage.Object, whole string) (*shardFile, error) {
	part := strings.TrimSuffix(whole, ".tar") + ".part"
	file, err := lockPart(ctx, part)
	if err != nil || file == nil {
		return nil, err
	}
	if _, err := os.Stat(whole); err == nil { // the other process had finished before this one made its part file
		return nil, errors.Join(os.Remove(part), file.Close())
	}
	start := time.Now()
	d := &download{bucket: c.dataset.bucket, object: object, file: file, tagName: part + ".etag", hash: sha256.New()}
	for try := 1; ; try++ {
		err := d.run(ctx)
		if err == nil {
			break
		}
		if storage.IsDiskFull(err) { // the space may be enough for another shard that is on its way
			err = errors.Join(err, os.Remove(part))
		}
		if !errors.Is(err, storage.ErrCorrupt) || try == downloadTries {
			return nil, errors.Join(err, file.Close())
		}
		c.log.Warn("shard arrived damaged and is downloaded again", "shard", name, "try", try, "error", err)
	}
	// Without a sync: a later process checks the checksum first, so that a torn file after a power cut costs a download. This one has
	// just seen every byte and need not.
	if err := errors.Join(os.Rename(part, whole), os.Remove(d.tagName)); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	c.log.Debug("shard fetched", "shard", name, "bytes", object.Size, "resumed_at", d.resumed, "seconds", time.Since(start).Seconds())
	return holdShard(file, whole, object.Size, object.SHA256)
}
