package pack

import (
	"archive/tar"
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/shards"
)

// tarShard writes one WebDataset shard: a USTAR file in which the members of a sample stand side by
// side, KEY.png, KEY.cls and KEY.json. Owner, mode and time of every member are fixed, so the bytes
// are a function of the samples alone.
type tarShard struct {
	tar     *tar.Writer
	out     io.Writer
	sum     hash.Hash
	size    int64
	samples shards.Samples
}

func newTarShard(w io.Writer) *tarShard {
	s := &tarShard{out: w, sum: sha256.New()}
	s.tar = tar.NewWriter(s)
	return s
}

// Write is where the tar writer's output passes through: it is counted and hashed on the way out.
func (s *tarShard) Write(p []byte) (int, error) {
	n, err := s.out.Write(p)
	s.sum.Write(p[:n])
	s.size += int64(n)
	return n, err
}

// add writes one sample.
func (s *tarShard) add(key string, item *Item, label int32, image []byte) error {
	offset, err := s.member(key+"."+item.Ext, image)
	if err != nil {
		return err
	}
	s.samples.Add(key, offset, int64(len(image)), label)
	if label != shards.NoLabel {
		if _, err := s.member(key+".cls", strconv.AppendInt(nil, int64(label), 10)); err != nil {
			return err
		}
	}
	if item.File == "" {
		return nil
	}
	description, err := json.Marshal(struct {
		Class string `json:"class,omitempty"`
		File  string `json:"file"`
	}{item.Class, item.File})
	if err != nil {
		return err
	}
	_, err = s.member(key+".json", description)
	return err
}

// member writes one file and returns the offset of its first byte.
func (s *tarShard) member(name string, data []byte) (int64, error) {
	header := tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(data)), Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
	if err := s.tar.WriteHeader(&header); err != nil {
		return 0, err
	}
	offset := s.size
	_, err := s.tar.Write(data)
	return offset, err
}

// close writes the end of the tar file and returns its entry for the index.
func (s *tarShard) close(name string) (shards.Shard, error) {
	if err := s.tar.Close(); err != nil {
		return shards.Shard{}, err
	}
	return shards.Shard{Name: name, Size: s.size, SHA256: hex.EncodeToString(s.sum.Sum(nil)), Samples: s.samples}, nil
}

// writeShard puts one shard together in a temporary file and uploads it if it is not there yet.
// first is the place of its first image in the split's order: keys count from it, and the key of a
// refused image stays unused.
func (p *packer) writeShard(ctx context.Context, name string, places []int, first int) (shards.Shard, error) {
	file, err := os.CreateTemp(p.options.TempDir, "cijepa-pack-*.tar")
	if err != nil {
		return shards.Shard{}, spooling(fmt.Errorf("making room for %s: %w", name, err))
	}
	defer os.Remove(file.Name())
	defer file.Close()

	buffered := bufio.NewWriterSize(file, 1<<20)
	out := newTarShard(buffered)
	var image []byte
	for i, place := range places {
		if err := ctx.Err(); err != nil {
			return shards.Shard{}, err
		}
		item := &p.items[place]
		image, err = p.src.Read(place, image[:0])
		kind, seen, refused := "", look{}, err
		switch {
		case err == nil:
			kind, seen, refused = p.look(item.Ext, image)
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission):
			return shards.Shard{}, fmt.Errorf("reading image %s of %s: %w", item.Name, item.Split, err)
		}
		p.advance(1)
		if refused != nil {
			p.leaveOut(Reject{Split: item.Split, Name: item.Name, Err: refused})
			continue
		}
		item.Ext, p.seen[place] = kind, seen
		if err := out.add(fmt.Sprintf("%08d", first+i), item, p.labels[place], image); err != nil {
			return shards.Shard{}, spooling(fmt.Errorf("writing %s: %w", file.Name(), err))
		}
	}
	if out.samples.Len() == 0 {
		return shards.Shard{}, nil
	}
	shard, err := out.close(name)
	if err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		return shards.Shard{}, spooling(fmt.Errorf("writing %s: %w", file.Name(), err))
	}
	return shard, p.upload(ctx, shard, file)
}

// spooling says what to do about a temporary folder without space.
func spooling(err error) error {
	if storage.IsDiskFull(err) {
		return fmt.Errorf("%w; a shard for each processor lies there while it is made: free space, or choose another folder with -temp", err)
	}
	return err
}

// findStored reads what an earlier call has left at the destination.
func (p *packer) findStored(ctx context.Context) error {
	entries, err := p.bucket.ListEntries(ctx, shards.KeyPrefix(p.prefix))
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
	data, err := p.bucket.GetTwice(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	ix, err := shards.ParseIndex(data)
	if err != nil {
		return cmp.Or(foreignIndex(p.prefix, data), fmt.Errorf("%s: %w: %w; delete it to pack again", key, storage.ErrCorrupt, err))
	}
	p.indexed = map[string]string{}
	for _, shards := range ix.Splits {
		for _, shard := range shards {
			p.indexed[shard.Name] = shard.SHA256
		}
	}
	return nil
}

// upload stores the shard unless the very same bytes are there already.
func (p *packer) upload(ctx context.Context, shard shards.Shard, file *os.File) error {
	object := storage.Object{Key: shards.KeyPrefix(p.prefix) + shard.Name, Size: shard.Size, SHA256: shard.SHA256}
	if p.indexed != nil && p.indexed[shard.Name] != shard.SHA256 {
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
	stored, err := p.bucket.Put(ctx, object.Key, shard.Size, func(w io.Writer) error {
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
	reader, err := p.bucket.Read(ctx, object)
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
