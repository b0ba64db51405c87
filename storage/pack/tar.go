package pack

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/shards"
)

// endMark is how many zeros end a tar file.
const endMark = 1024

// tarBytes passes the bytes of a tar file on. It counts them, and knows how many zeros the last ones
// were.
type tarBytes struct {
	r        io.Reader
	n, zeros int64
}

func (b *tarBytes) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	zeros := int64(n - len(bytes.TrimRight(p[:n], "\x00")))
	if zeros == int64(n) {
		zeros += b.zeros
	}
	b.n, b.zeros = b.n+int64(n), zeros
	return n, err
}

// Seek lets the tar reader jump over members where r can.
func (b *tarBytes) Seek(offset int64, whence int) (int64, error) {
	seeker, ok := b.r.(io.Seeker)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	n, err := seeker.Seek(offset, whence)
	b.n = n
	return n, err
}

// scanTar reads a tar file from its first byte to its last and calls visit for each member, with the
// place of its first byte and its content. A file that was cut is ErrCorrupt, also between two
// members, and one with something behind its end is ErrUnfit. size is that of the whole file.
func scanTar(r io.Reader, visit func(header *tar.Header, at int64, content io.Reader) error) (size int64, err error) {
	in := &tarBytes{r: r}
	reader := tar.NewReader(in)
	for members, at := 0, int64(0); ; members++ {
		header, err := reader.Next()
		switch {
		case err == io.EOF && in.zeros < endMark:
			return 0, fmt.Errorf("%w: after %d members it ends without the zeros that end a tar file: it was cut, "+
				"or its writer never closed it; download or make it again", storage.ErrCorrupt, members)
		case err == io.EOF:
			at = in.n
			rest, err := io.Copy(io.Discard, in)
			if err == nil && in.zeros < endMark+rest {
				err = fmt.Errorf("%w: something follows its end at byte %d, as when two tar files are joined with "+
					"cat: join them with tar --concatenate", storage.ErrUnfit, at)
			}
			return in.n, err
		case err == nil:
			at = in.n // the reader takes headers block by block, so that the next byte is the member's first
			err = visit(header, at, reader)
		}
		if err != nil {
			return 0, damagedAt(err, at)
		}
	}
}

// damagedAt makes an error of the tar reader one that says what to do. at is the first byte of the
// last good member.
func damagedAt(err error, at int64) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it ends within the member behind byte %d: the download was cut, fetch it "+
			"again", storage.ErrCorrupt, at)
	case errors.Is(err, tar.ErrHeader):
		return fmt.Errorf("%w: a header behind byte %d is none of a tar file: fetch it again (%w)",
			storage.ErrCorrupt, at, err)
	}
	return err
}

// plainMember tells a file whose bytes stand in the tar file as they are: no folder, no link, and
// not sparse, which hides in records of its own.
func plainMember(header *tar.Header) bool {
	for record := range header.PAXRecords {
		if strings.HasPrefix(record, "GNU.sparse.") {
			return false
		}
	}
	return header.Typeflag == tar.TypeReg
}

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
