package shards

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/cijepa/cijepa/storage"
)

// Dataset is a packed dataset in a bucket: its index and where its shards are. It is immutable.
type Dataset struct {
	// Index is what the dataset holds.
	Index Index

	bucket      *storage.Bucket
	prefix      string
	fingerprint string
}

// OpenDataset reads the index of the dataset below prefix ("" for the bucket's root). Without an
// index it fails with [storage.ErrNotFound], with an invalid one with [storage.ErrCorrupt].
func OpenDataset(ctx context.Context, b *storage.Bucket, prefix string) (*Dataset, error) {
	key := KeyPrefix(prefix) + IndexName
	data, err := b.GetTwice(ctx, key) // a bit that flips in transfer would make it another dataset
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("there is no dataset here: %w; make one with `cijepa pack`, "+
			"or index the shards of another tool with `cijepa index`", err)
	}
	if err != nil {
		return nil, err
	}
	ix, err := ParseIndex(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", key, storage.ErrCorrupt, err)
	}
	return &Dataset{Index: ix, bucket: b, prefix: prefix, fingerprint: Fingerprint(data)}, nil
}

// InPlace reports whether the shards are files of a file:// bucket, which are read where they are
// and need no cache.
func (d *Dataset) InPlace() bool {
	_, ok := d.bucket.LocalPath("")
	return ok
}

// Fingerprint returns the SHA-256 of the dataset's index.json; see [Fingerprint].
func (d *Dataset) Fingerprint() string { return d.fingerprint }

// object returns the object of a shard.
func (d *Dataset) object(s *Shard) storage.Object {
	return storage.Object{Key: KeyPrefix(d.prefix) + s.Name, Size: s.Size, SHA256: s.SHA256}
}

// repairAdvice says what to do about a shard that differs from its index.
const repairAdvice = "put the object back, or pack the data again under another prefix"

// CheckSizes compares the index with a listing of the bucket, or for files with the file system. If
// shards are missing or have another size, it fails with [storage.ErrCorrupt] and names them. It
// reads no shard, so it does not find changed bytes of the same length.
func (d *Dataset) CheckSizes(ctx context.Context) error {
	sizes, err := d.sizes(ctx)
	if err != nil {
		return err
	}
	var wrong []string
	shards := 0
	for _, split := range slices.Sorted(maps.Keys(d.Index.Splits)) {
		for i := range d.Index.Splits[split] {
			shard := &d.Index.Splits[split][i]
			shards++
			size, ok := sizes[d.object(shard).Key]
			switch {
			case !ok:
				wrong = append(wrong, shard.Name+" is gone")
			case size != shard.Size:
				wrong = append(wrong, fmt.Sprintf("%s has %d bytes, not %d", shard.Name, size, shard.Size))
			}
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d shards of %s: %w: %s; %s", len(wrong), shards,
		KeyPrefix(d.prefix)+IndexName, storage.ErrCorrupt, Abbreviate(wrong), repairAdvice)
}

// sizes returns the sizes of the objects below the prefix by key. Files are queried one by one,
// because a folder or a shard may be a symbolic link, which reads follow and listings do not.
func (d *Dataset) sizes(ctx context.Context) (map[string]int64, error) {
	sizes := map[string]int64{}
	if !d.InPlace() {
		entries, err := d.bucket.ListEntries(ctx, KeyPrefix(d.prefix))
		for _, entry := range entries {
			sizes[entry.Key] = entry.Size
		}
		return sizes, err
	}
	for _, shards := range d.Index.Splits {
		for i := range shards {
			switch info, err := os.Stat(d.file(&shards[i])); {
			case err == nil:
				sizes[d.object(&shards[i]).Key] = info.Size()
			case !errors.Is(err, os.ErrNotExist):
				return nil, d.bucket.WrapReadError(d.object(&shards[i]).Key, err)
			}
		}
	}
	return sizes, nil
}

// file returns the path of a shard of a dataset in place.
func (d *Dataset) file(s *Shard) string {
	path, _ := d.bucket.LocalPath(d.object(s).Key)
	return path
}

// KeyPrefix returns what all keys of the dataset below a prefix begin with: the prefix with one
// slash at its end, or "" for the bucket's root.
func KeyPrefix(prefix string) string {
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return prefix
}
