package pack

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// endMark is how many zeros end a tar file.
const endMark = 1024

// tarBytes passes the bytes of a tar file on. It counts them, and knows how many zeros the last
// ones were.
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

// scanTar reads a tar file from its first byte to its last and calls visit for each member, with
// the place of its first byte and its content. A file that was cut is ErrCorrupt, also between two
// members, and one with something behind its end is ErrUnfit. size is that of the whole file.
func scanTar(r io.Reader, visit func(header *tar.Header, at int64, content io.Reader) error) (size int64, err error) {
	in := &tarBytes{r: r}
	reader := tar.NewReader(in)
	for members, at := 0, int64(0); ; members++ {
		header, err := reader.Next()
		switch {
		case err == io.EOF && in.zeros < endMark:
			return 0, corrupt("after %d members it ends without the zeros that end a tar file: it was cut, or its writer never closed it; download or make it again",
				members)
		case err == io.EOF:
			at = in.n
			rest, err := io.Copy(io.Discard, in)
			if err == nil && in.zeros < endMark+rest {
				err = unfit("something follows its end at byte %d, as when two tar files are joined with cat: join them with tar --concatenate", at)
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
		return corrupt("it ends within the member behind byte %d: the download was cut, fetch it again", at)
	case errors.Is(err, tar.ErrHeader):
		return corrupt("a header behind byte %d is none of a tar file: fetch it again (%w)", at, err)
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

// openTar takes up an archive. A compressed one is unpacked into a temporary file, which is gone
// with the process.
func (t *tree) openTar(ctx context.Context, parts []part, zipped bool) error {
	file, err := os.Open(t.place(pathOf(parts)))
	if err != nil {
		return err
	}
	if zipped {
		spool, err := t.unzip(file)
		file.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", pathOf(parts), err)
		}
		file = spool
	}
	t.files = append(t.files, file)
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	return t.listTar(ctx, extent{file: len(t.files) - 1, length: size}, parts)
}

// gunzipped reads what a stream holds, which may be compressed with gzip.
func gunzipped(r io.Reader) (io.Reader, error) {
	in := bufio.NewReader(r)
	if head, _ := in.Peek(headLength); kindOf(head) != "gzip" { // what is shorter is told by its reader
		return in, nil
	}
	return gzip.NewReader(in)
}

// unzip copies the content of a gzip file into a temporary file.
func (t *tree) unzip(file *os.File) (*os.File, error) {
	r, err := gzip.NewReader(file)
	if err != nil {
		return nil, corrupt("%w", err)
	}
	spool, err := tempFile(t.tempDir)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(spool, r); err != nil {
		spool.Close()
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) {
			return nil, corrupt("its compressed bytes are cut or damaged: download it again: %w", err)
		}
		return nil, spooling(err)
	}
	return spool, nil
}

// tempFile is a file that is gone when it is closed, however the process ends.
func tempFile(dir string) (*os.File, error) {
	file, err := os.CreateTemp(dir, "cijepa-pack-*")
	if err != nil {
		return nil, err
	}
	return file, os.Remove(file.Name())
}

// listTar takes up the members of a tar file, which is a piece of an open file, and goes down into
// tar files within it.
func (t *tree) listTar(ctx context.Context, in extent, parts []part) error {
	section := io.NewSectionReader(t.files[in.file], in.offset, in.length)
	shard := &folder{parts: parts, shard: true}
	inner, names := []leaf{}, map[string]bool{}
	if _, err := scanTar(section, func(header *tar.Header, offset int64, _ io.Reader) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
		if header.Typeflag == tar.TypeDir || hiddenPath(name) {
			return nil
		}
		if names[name] {
			return unfit("the member %s comes twice: pack the folder again", header.Name)
		}
		names[name] = true
		m := leaf{name, extent{file: in.file, offset: in.offset + offset, length: header.Size}}
		switch {
		case !plainMember(header):
			t.reject(parts, name, errors.New("it is a link or a sparse file"))
		case stem(name) != name:
			inner = append(inner, m)
		default:
			shard.members = append(shard.members, m)
		}
		return nil
	}); err != nil {
		return fmt.Errorf("%s: %w", pathOf(parts), err)
	}
	t.folders = append(t.folders, shard)
	for _, m := range inner {
		dir, base := path.Split(m.name)
		parts := belowArchive(below(parts, dir), base)
		head, err := t.appendAt(nil, extent{file: in.file, offset: m.at.offset, length: min(m.at.length, headLength)})
		if err == nil && kindOf(head) == "gzip" {
			return unfit("%s is a compressed archive within an archive: unpack the outer one", pathOf(parts))
		}
		if err := t.listTar(ctx, m.at, parts); err != nil {
			return err
		}
	}
	return nil
}

// samples tells whether the members of a tar file are WebDataset samples: a label stands beside an
// image under its key.
func (f *folder) samples() bool {
	images := map[string]bool{}
	for _, m := range f.members {
		key, ending, _ := cutKey(m.name)
		switch {
		case ending == "cls" || strings.HasSuffix(ending, ".cls"):
			return true
		case imageExt(m.name) != "":
			images[key] = true
		}
	}
	return slices.ContainsFunc(f.members, func(m leaf) bool {
		key, ending, _ := cutKey(m.name)
		return ending == "json" && images[key]
	})
}

// split makes folders of a tar file that has no samples.
func (f *folder) split(reject func(in []part, name string, err error)) []*folder {
	byDir := map[string]*folder{}
	var folders []*folder
	for _, m := range f.members {
		dir, base := path.Split(m.name)
		if imageExt(base) == "" {
			reject(f.parts, m.name, errors.New("the name does not end in .jpg, .jpeg, .png or .webp"))
			continue
		}
		to := byDir[dir]
		if to == nil {
			to = &folder{parts: below(f.parts, dir)}
			byDir[dir] = to
			folders = append(folders, to)
		}
		to.members = append(to.members, leaf{base, m.at})
	}
	return folders
}
