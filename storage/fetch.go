package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// downloadTries is how often a shard is downloaded anew when its bytes were wrong: a bit flips on the way now and then, and no driver
// notices it in a ranged read.
const downloadTries = 3

// fetch makes a shard local: mapped where it lies, found in the directory, or downloaded.
func (c *Cache) fetch(ctx context.Context, shard *Shard) (*shardFile, error) {
	object := c.dataset.object(shard)
	if c.dataset.bucket.dir != "" {
		file, err := openShard(filepath.Join(c.dataset.bucket.dir, filepath.FromSlash(object.Key)), shard.Size, shard.SHA256)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return nil, fmt.Errorf("%w: %w", ErrNotFound, err)
		case errors.Is(err, errDamaged):
			return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return file, err
	}
	whole := filepath.Join(c.dir, shard.SHA256+".tar")
	for {
		file, err := openShard(whole, shard.Size, shard.SHA256)
		switch {
		case err == nil:
			return file, nil
		case errors.Is(err, errDamaged):
			c.log.Warn("cached shard is damaged and is downloaded again", "shard", shard.Name, "error", err)
			if err := os.Remove(whole); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
		case !errors.Is(err, os.ErrNotExist):
			return nil, err
		}
		file, err = c.download(ctx, shard.Name, object, whole)
		if diskFull(err) {
			err = fmt.Errorf("%w; free space in %s, or give the cache a size limit that the disk can hold", err, c.dir)
		}
		if file != nil || err != nil {
			return file, err
		}
	}
}

// download is one shard on its way into its part file.
type download struct {
	object Object
	file   *os.File
	hash   hash.Hash
	stored int64 // bytes in the file and in the hash
}

// download puts a whole, checked shard at the given place, going on from what is there of it, and maps it. It returns nil when another
// process has finished that shard meanwhile.
func (c *Cache) download(ctx context.Context, name string, object Object, whole string) (*shardFile, error) {
	part := strings.TrimSuffix(whole, ".tar") + ".part"
	file, err := lockPart(ctx, part)
	if err != nil || file == nil {
		return nil, err
	}
	if _, err := os.Stat(whole); err == nil { // the other process had finished before this one made its part file
		return nil, errors.Join(os.Remove(part), file.Close())
	}
	start := time.Now()
	d := &download{object: object, file: file, hash: sha256.New()}
	for try := 1; ; try++ {
		err := d.run(ctx, c.dataset.bucket)
		if err == nil {
			break
		}
		if !errors.Is(err, ErrCorrupt) || try == downloadTries {
			return nil, errors.Join(err, file.Close())
		}
		c.log.Warn("shard arrived damaged and is downloaded again", "shard", name, "try", try, "error", err)
	}
	// Without a sync: a later process checks the checksum first, so that a torn file after a power cut costs a download. This one has
	// just seen every byte and need not.
	if err := os.Rename(part, whole); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	c.log.Debug("shard fetched", "shard", name, "bytes", object.Size, "seconds", time.Since(start).Seconds())
	return mapShard(file, whole, object.Size)
}

// run reads the rest of the shard and checks it all. After ErrCorrupt the file is empty again.
func (d *download) run(ctx context.Context, b *Bucket) error {
	if err := d.hashStored(); err != nil {
		return err
	}
	if d.stored > d.object.Size {
		return d.discard(fmt.Errorf("%w: %d bytes are stored of %d", ErrCorrupt, d.stored, d.object.Size))
	}
	if d.stored < d.object.Size {
		stream, err := b.open(ctx, d.object.Key, d.stored)
		if err != nil {
			return err
		}
		defer stream.Close()
		if stream.size != d.object.Size {
			return fmt.Errorf("%w: %s has %d bytes, the index says %d: it was replaced after packing", ErrCorrupt, d.object.Key, stream.size, d.object.Size)
		}
		n, err := io.CopyBuffer(io.MultiWriter(onlyWriter{d.file}, d.hash), stream, make([]byte, 1<<20))
		if err != nil {
			return err
		}
		d.stored += n
	}
	if sum := hex.EncodeToString(d.hash.Sum(nil)); d.stored != d.object.Size || sum != d.object.SHA256 {
		return d.discard(fmt.Errorf("%w: %s came as %d bytes with sha256 %s, the index says %d bytes with %s",
			ErrCorrupt, d.object.Key, d.stored, sum, d.object.Size, d.object.SHA256))
	}
	return nil
}

// hashStored takes up what an earlier process has left in the file.
func (d *download) hashStored() error {
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	d.hash.Reset()
	n, err := io.Copy(d.hash, d.file)
	d.stored = n
	return err
}

// discard empties the file and passes the reason on.
func (d *download) discard(reason error) error {
	return errors.Join(reason, d.file.Truncate(0))
}

// onlyWriter hides the file's ReadFrom, which would copy in pieces of its own.
type onlyWriter struct{ io.Writer }
