package pack

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"
	"strconv"
	"time"

	"github.com/cijepa/cijepa/storage/shards"
)

// tarShard writes one WebDataset shard: a USTAR file in which the members of a sample stand side by side, KEY.png, KEY.cls and
// KEY.json. Owner, mode and time of every member are fixed, so the bytes are a function of the samples alone.
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
	header := tar.Header{
		Typeflag: tar.TypeReg,
		Name:     name,
		Size:     int64(len(data)),
		Mode:     0o644,
		ModTime:  time.Unix(0, 0),
		Format:   tar.FormatUSTAR,
	}
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
