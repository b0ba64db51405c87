package pack

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/cijepa/cijepa/storage"
)

// FromTars reads uncompressed tar files of images where they lie: one for each class and called by it, as ImageNet's training set comes, in
// root/train/CLASS.tar and root/val/CLASS.tar, or in root/CLASS.tar for the split "train". root may also be a single tar file, and root/train.tar
// and root/val.tar may be single tar files, of class tar files or of class folders.
func FromTars(root string) Source { return &tarSource{root: root} }

type tarSource struct {
	root string
	extents
}

// foundTar is a tar file of one class, or of many when class is empty.
type foundTar struct{ path, split, class string }

// List implements Source.
func (s *tarSource) List(ctx context.Context) (Listing, error) {
	var listing Listing
	tars, err := s.find()
	if err != nil {
		return Listing{}, err
	}
	for _, found := range tars {
		file, err := os.Open(found.path)
		if err != nil {
			return Listing{}, err
		}
		s.files = append(s.files, file)
		info, err := file.Stat()
		if err != nil {
			return Listing{}, err
		}
		whole := extent{len(s.files) - 1, 0, info.Size()}
		before := len(listing.Items)
		if err := s.listTar(ctx, &listing, found.split, found.class, whole); err != nil {
			return Listing{}, fmt.Errorf("%s: %w", found.path, err)
		}
		if found.class != "" && len(listing.Items) == before {
			listing.Empty = append(listing.Empty, found.split+"/"+found.class)
		}
	}
	if len(listing.Items) == 0 {
		return Listing{}, fmt.Errorf("%w: %s has no tar file with images of a class: expected %s", storage.ErrUnfit, s.root, layout)
	}
	return listing, nil
}

// find names the tar files at the root, in order.
func (s *tarSource) find() ([]foundTar, error) {
	info, err := os.Stat(s.root)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		name := strings.TrimSuffix(filepath.Base(s.root), ".tar")
		return []foundTar{{s.root, cmp.Or(splitName(name), "train"), ""}}, nil
	}
	entries, err := os.ReadDir(s.root)
	if err != nil {
		return nil, err
	}
	var tars []foundTar
	for _, entry := range entries {
		place := filepath.Join(s.root, entry.Name())
		name, isTar := strings.CutSuffix(entry.Name(), ".tar")
		split := splitName(name)
		switch {
		case isTar && split != "":
			tars = append(tars, foundTar{place, split, ""})
		case isTar:
			tars = append(tars, foundTar{place, "train", name})
		case split != "":
			inside, err := os.ReadDir(place)
			if err != nil {
				return nil, err
			}
			for _, entry := range inside {
				if class, ok := strings.CutSuffix(entry.Name(), ".tar"); ok {
					tars = append(tars, foundTar{filepath.Join(place, entry.Name()), split, class})
				}
			}
		}
	}
	return tars, nil
}

// listTar takes the images of one tar file, which is a piece of an open file, and goes down into tar files within it.
func (s *tarSource) listTar(ctx context.Context, listing *Listing, split, class string, in extent) error {
	section := io.NewSectionReader(s.files[in.file], in.offset, in.length)
	reader := tar.NewReader(section)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		header, err := reader.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading tar headers: %w", err)
		}
		name := path.Clean(header.Name)
		base := path.Base(name)
		if header.Typeflag == tar.TypeDir || strings.HasPrefix(base, ".") {
			continue
		}
		// The reader takes headers block by block, so that it stands at the first byte of the member now.
		offset, err := section.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		member := extent{in.file, in.offset + offset, header.Size}
		if inner, ok := strings.CutSuffix(base, ".tar"); ok {
			if err := s.listTar(ctx, listing, split, inner, member); err != nil {
				return fmt.Errorf("%s: %w", header.Name, err)
			}
			continue
		}
		of := class
		if of == "" {
			of = path.Base(path.Dir(name))
		}
		item := Item{Split: split, Name: of + "/" + strings.TrimPrefix(name, of+"/"), Class: of, Ext: imageExt(base), File: base}
		if class == "" {
			item.Name = strings.TrimPrefix(name, "./")
		}
		var refused error
		switch {
		case !plainMember(header):
			refused = errors.New("it is a link or a sparse file")
		case item.Ext == "":
			refused = errNotImage
		case of == "." || of == "/":
			refused = errors.New("it lies in no class folder")
		}
		if refused != nil {
			listing.Rejects = append(listing.Rejects, Reject{split, item.Name, refused})
			continue
		}
		listing.Items = append(listing.Items, item)
		s.places = append(s.places, member)
	}
}
