package shards

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/cijepa/cijepa/storage"
)

// download is one shard on its way into its part file. Beside that file lies the object's ETag of the time when the download began, so
// that a later process goes on only if the object is still the same.
type download struct {
	bucket  *storage.Bucket
	object  storage.Object
	file    *os.File
	tagName string
	hash    hash.Hash
	stored  int64 // bytes in the file and in the hash
	resumed int64 // where the first connection began
}

// run reads the rest of the shard and checks it all. After ErrCorrupt the file is empty again, or the object is not the one of the index.
func (d *download) run(ctx context.Context) error {
	if err := d.takeUp(ctx); err != nil {
		return err
	}
	d.resumed = d.stored
	if d.stored < d.object.Size {
		if err := d.receive(ctx); err != nil {
			return err
		}
	}
	if sum := hex.EncodeToString(d.hash.Sum(nil)); d.stored != d.object.Size || sum != d.object.SHA256 {
		return d.discard(fmt.Errorf("%w: %s came as %d bytes with sha256 %s, the index says %d bytes with %s",
			storage.ErrCorrupt, d.object.Key, d.stored, sum, d.object.Size, d.object.SHA256))
	}
	return nil
}

// takeUp goes on with what the file holds, or starts anew when that is not the beginning of the object as it is now.
func (d *download) takeUp(ctx context.Context) error {
	tag, err := d.bucket.Revision(ctx, d.object.Key)
	if err != nil {
		return err
	}
	began, err := os.ReadFile(d.tagName)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err != nil || string(began) != tag {
		if err := d.discard(nil); err != nil {
			return err
		}
		// The tag is there before the first byte, so that no byte is without one.
		if err := os.WriteFile(d.tagName, []byte(tag), 0o666); err != nil {
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
		return d.discard(fmt.Errorf("%w: %s has %d bytes already, of %d", storage.ErrCorrupt, d.file.Name(), d.stored, d.object.Size))
	}
	return nil
}

// receive reads the object from where the file ends.
func (d *download) receive(ctx context.Context) error {
	stream, err := d.bucket.OpenAt(ctx, d.object.Key, d.stored)
	if err != nil {
		return err
	}
	defer stream.Close()
	if stream.Size != d.object.Size {
		return fmt.Errorf("%w: %s has %d bytes, the index says %d: it was replaced after packing", storage.ErrCorrupt, d.object.Key, stream.Size, d.object.Size)
	}
	n, err := io.CopyBuffer(onlyWriter{io.MultiWriter(d.file, d.hash)}, stream, make([]byte, 1<<20))
	d.stored += n
	return err
}

// discard empties the file and passes the reason on.
func (d *download) discard(reason error) error {
	d.stored = 0
	return errors.Join(reason, d.file.Truncate(0))
}

// onlyWriter hides any ReadFrom, which would copy in pieces of its own.
type onlyWriter struct{ io.Writer }
