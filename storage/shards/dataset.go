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

// Dataset is a packed dataset in a bucket: its index and where its shards are. It never changes.
type Dataset struct {
	// Index is what the dataset holds.
	Index Index

	bucket      *storage.Bucket
	prefix      string
	fingerprint string
}

// OpenDataset reads the index of the dataset below prefix ("" for the bucket's root). Without an index it is ErrNotFound; an index that
// cannot be true is ErrCorrupt.
func OpenDataset(ctx context.Context, b *storage.Bucket, prefix string) (*Dataset, error) {
	key := KeyPrefix(prefix) + IndexName
	data, err := b.GetTwice(ctx, key) // or a bit that flips on the way would make it another dataset
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("there is no dataset here: %w; make one with `cijepa pack`, or index the shards of another tool with `cijepa index`", err)
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

// InPlace says whether the shards are files that are read where they lie.
func (d *Dataset) InPlace() bool {
	_, ok := d.bucket.LocalPath("")
	return ok
}

// Fingerprint is the SHA-256 of the dataset's index.json; see [Fingerprint].
func (d *Dataset) Fingerprint() string { return d.fingerprint }

// object is a shard as the bucket knows it.
func (d *Dataset) object(s *Shard) storage.Object {
	return storage.Object{Key: KeyPrefix(d.prefix) + s.Name, Size: s.Size, SHA256: s.SHA256}
}

// repairAdvice is what to do about a shard that is not the one of the index.
const repairAdvice = "put the object back, or pack the data again under another prefix"

// CheckSizes holds the index against what a listing, or for files the file system, says of the shards. Those that are gone or have another size are
// ErrCorrupt, and the error names them. It reads no shard: other bytes of the same length do not show.
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
	return fmt.Errorf("%d of %d shards of %s: %w: %s; %s", len(wrong), shards, KeyPrefix(d.prefix)+IndexName, storage.ErrCorrupt, Abbreviate(wrong), repairAdvice)
}

// sizes gives the sizes of the objects below the prefix by key. Files are asked one by one: a folder or a shard may be a link, which is read
// through and not listed.
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

// file is a shard's place on the disk, if it is in place.
func (d *Dataset) file(s *Shard) string {
	path, _ := d.bucket.LocalPath(d.object(s).Key)
	return path
}

// KeyPrefix is what all keys of a dataset begin with.
func KeyPrefix(prefix string) string {
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return prefix
}
