package pack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/shards"
)

// findStored reads what an earlier call has left at the destination.
func (p *packer) findStored(ctx context.Context) error {
	entries, err := p.dst.ListEntries(ctx, shards.KeyPrefix(p.prefix))
	if err != nil {
		return fmt.Errorf("listing the destination: %w", err)
	}
	p.present = make(map[string]int64, len(entries))
	for _, entry := range entries {
		p.present[entry.Key] = entry.Size
	}
	// The index is asked for by its name: were it missing from a listing that lags behind, the
	// shards of a whole dataset would be replaced.
	key := shards.KeyPrefix(p.prefix) + shards.IndexName
	data, err := p.dst.GetTwice(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	ix, err := shards.ParseIndex(data)
	if tool := foreignIndex(data); err != nil && tool != "" {
		return foreignIndexError(p.prefix, tool)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %w; delete it to pack again", key, storage.ErrCorrupt, err)
	}
	p.indexed = map[string]shards.Shard{}
	for _, shards := range ix.Splits {
		for _, shard := range shards {
			p.indexed[shard.Name] = shard
		}
	}
	return nil
}

// upload stores the shard unless the very same bytes are there already.
func (p *packer) upload(ctx context.Context, shard shards.Shard, file *os.File) error {
	object := storage.Object{Key: shards.KeyPrefix(p.prefix) + shard.Name, Size: shard.Size, SHA256: shard.SHA256}
	if p.indexed != nil && p.indexed[shard.Name].SHA256 != shard.SHA256 {
		return shards.OtherIndexError(p.prefix)
	}
	if size, ok := p.present[object.Key]; ok && size == object.Size {
		if p.indexed != nil {
			return nil
		}
		same, err := p.stored(ctx, object)
		if err != nil || same {
			return err
		}
	}
	stored, err := p.dst.Put(ctx, object.Key, shard.Size, func(w io.Writer) error {
		_, err := io.Copy(w, io.NewSectionReader(file, 0, shard.Size))
		return err
	})
	if err != nil {
		return fmt.Errorf("uploading %s: %w", object.Key, err)
	}
	if stored.SHA256 != shard.SHA256 {
		return fmt.Errorf("uploading %s: the temporary file %s has changed on disk", object.Key, file.Name())
	}
	return nil
}

// stored reads an object of this name and size back and tells whether it is the one wanted. Without
// an index nothing is known of it: an interrupted call may have left it behind, perhaps one with
// another seed.
func (p *packer) stored(ctx context.Context, object storage.Object) (bool, error) {
	reader, err := p.dst.Read(ctx, object)
	if err == nil {
		_, err = io.Copy(io.Discard, reader)
		err = errors.Join(err, reader.Close())
	}
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, storage.ErrCorrupt), errors.Is(err, storage.ErrNotFound):
		return false, nil
	}
	return false, fmt.Errorf("checking %s: %w", object.Key, err)
}
