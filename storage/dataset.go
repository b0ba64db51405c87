package storage

import (
	"context"
	"errors"
	"fmt"
)

// Dataset is a packed dataset in a bucket: its index and where its shards are. It never changes.
type Dataset struct {
	// Index is what the dataset holds.
	Index Index

	bucket      *Bucket
	prefix      string
	fingerprint string
}

// OpenDataset reads the index of the dataset below prefix ("" for the bucket's root). Without an index it is ErrNotFound; an index that
// cannot be true is ErrCorrupt.
func OpenDataset(ctx context.Context, b *Bucket, prefix string) (*Dataset, error) {
	key := under(prefix) + IndexName
	data, err := b.getTwice(ctx, key) // or a bit that flips on the way would make it another dataset
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("there is no dataset here: %w; make one with `cijepa pack`, or index the shards of another tool with `cijepa index`", err)
	}
	if err != nil {
		return nil, err
	}
	ix, err := ParseIndex(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", key, ErrCorrupt, err)
	}
	return &Dataset{Index: ix, bucket: b, prefix: prefix, fingerprint: Fingerprint(data)}, nil
}

// InPlace says whether the shards are files that are read where they lie.
func (d *Dataset) InPlace() bool { return d.bucket.dir != "" }

// Fingerprint is the SHA-256 of the dataset's index.json; see [Fingerprint].
func (d *Dataset) Fingerprint() string { return d.fingerprint }

// object is a shard as the bucket knows it.
func (d *Dataset) object(s *Shard) Object {
	return Object{Key: under(d.prefix) + s.Name, Size: s.Size, SHA256: s.SHA256}
}
