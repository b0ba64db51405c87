package pack

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cijepa/cijepa/storage"
)

// endMark is how many zeros end a tar file.
const endMark = 1024

// zeroTail passes bytes on and knows how many zeros the last ones were.
type zeroTail struct {
	r     io.Reader
	zeros int64
}

func (z *zeroTail) Read(p []byte) (int, error) {
	n, err := z.r.Read(p)
	i := n
	for i > 0 && p[i-1] == 0 {
		i--
	}
	if i == 0 {
		z.zeros += int64(n)
	} else {
		z.zeros = int64(n - i)
	}
	return n, err
}

// scanTar reads a tar file from its first byte to its last and calls visit for each member, with reader at its bytes. offset says how many bytes of r
// have been read. A file that was cut is ErrCorrupt, also between two members, and one with something behind its end is ErrUnfit.
func scanTar(r io.Reader, reader **tar.Reader, offset func() (int64, error), visit func(header *tar.Header, at int64) error) error {
	tail := &zeroTail{r: r}
	var in io.Reader = tail
	if seeker, ok := r.(io.Seeker); ok {
		in = struct {
			io.Reader
			io.Seeker
		}{tail, seeker} // members are jumped over
	}
	*reader = tar.NewReader(in)
	members := 0
	for {
		header, err := (*reader).Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		// The reader takes headers block by block, so that the next byte is the member's first.
		at, err := offset()
		if err != nil {
			return err
		}
		if err := visit(header, at); err != nil {
			return err
		}
		members++
	}
	if tail.zeros < endMark {
		return fmt.Errorf("%w: after %d members it ends without the zeros that end a tar file: it was cut, or its writer never closed it; download or make it again", storage.ErrCorrupt, members)
	}
	at, err := offset()
	if err != nil {
		return err
	}
	rest, err := io.Copy(io.Discard, tail)
	if err != nil {
		return err
	}
	if tail.zeros < endMark+rest {
		return fmt.Errorf("%w: something follows its end at byte %d, as when two tar files are joined with cat: join them with tar --concatenate", storage.ErrUnfit, at)
	}
	return nil
}

// damagedAt makes an error of the tar reader one that says what to do. at is the first byte of the last good member.
func damagedAt(err error, at int64) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it ends within the member behind byte %d: the download was cut, fetch it again", storage.ErrCorrupt, at)
	case errors.Is(err, tar.ErrHeader):
		return fmt.Errorf("%w: a header behind byte %d is none of a tar file: fetch it again (%w)", storage.ErrCorrupt, at, err)
	}
	return err
}

// plainMember tells a file whose bytes stand in the tar file as they are: no folder, no link, and not sparse, which hides in records of its own.
func plainMember(header *tar.Header) bool {
	for record := range header.PAXRecords {
		if strings.HasPrefix(record, "GNU.sparse.") {
			return false
		}
	}
	return header.Typeflag == tar.TypeReg
}
