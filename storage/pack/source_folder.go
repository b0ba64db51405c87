package pack

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cijepa/cijepa/storage"
)

// FromFolder reads a tree of class folders: root/train/CLASS/... and root/val/CLASS/... (or validation), as ImageNet is laid out, or
// root/CLASS/..., which is then all of the split "train". Folders and files whose names begin with a dot are passed over. Links to folders
// are followed, so a selection of classes can be made of links.
func FromFolder(root string) Source { return &folderSource{root: root} }

type folderSource struct {
	root  string
	paths []string // by place in the listing
}

// List implements Source.
func (s *folderSource) List(ctx context.Context) (Listing, error) {
	entries, err := os.ReadDir(s.root)
	if err != nil {
		return Listing{}, err
	}
	var listing Listing
	split := false
	for _, entry := range entries {
		if name := splitName(entry.Name()); name != "" {
			split = true
			if err := s.listSplit(ctx, &listing, name, filepath.Join(s.root, entry.Name())); err != nil {
				return Listing{}, err
			}
		}
	}
	if !split {
		if err := s.listSplit(ctx, &listing, "train", s.root); err != nil {
			return Listing{}, err
		}
	}
	if len(listing.Items) == 0 {
		return Listing{}, fmt.Errorf("%w: %s has no image: expected %s", storage.ErrUnfit, s.root, layout)
	}
	return listing, nil
}

// listSplit takes every folder of a split as a class.
func (s *folderSource) listSplit(ctx context.Context, listing *Listing, split, folder string) error {
	classes, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, class := range classes {
		if strings.HasPrefix(class.Name(), ".") {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		// The link itself, not its target, names the class.
		resolved, err := filepath.EvalSymlinks(filepath.Join(folder, class.Name()))
		if err != nil {
			return err
		}
		if info, err := os.Stat(resolved); err != nil {
			return err
		} else if !info.IsDir() {
			listing.Rejects = append(listing.Rejects, Reject{split, class.Name(), fmt.Errorf("it lies beside the class folders of %s", folder)})
			continue
		}
		before := len(listing.Items)
		if err := s.listClass(listing, split, class.Name(), resolved); err != nil {
			return err
		}
		if len(listing.Items) == before {
			listing.Empty = append(listing.Empty, split+"/"+class.Name())
		}
	}
	return nil
}

// listClass takes every image below a class folder.
func (s *folderSource) listClass(listing *Listing, split, class, folder string) error {
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if hidden := strings.HasPrefix(entry.Name(), ".") && path != folder; entry.IsDir() || hidden {
			if entry.IsDir() && hidden {
				return filepath.SkipDir
			}
			return nil
		}
		below, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		name := class + "/" + filepath.ToSlash(below)
		ext := imageExt(entry.Name())
		if ext == "" {
			listing.Rejects = append(listing.Rejects, Reject{split, name, errNotImage})
			return nil
		}
		listing.Items = append(listing.Items, Item{Split: split, Name: name, Class: class, Ext: ext, File: entry.Name()})
		s.paths = append(s.paths, path)
		return nil
	})
}

// Read implements Source.
func (s *folderSource) Read(i int, buf []byte) ([]byte, error) {
	file, err := os.Open(s.paths[i])
	if err != nil {
		return buf, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return buf, err
	}
	start := len(buf)
	buf = append(buf, make([]byte, info.Size())...)
	if _, err := io.ReadFull(file, buf[start:]); err != nil {
		return buf[:start], fmt.Errorf("%s: %w", s.paths[i], err)
	}
	return buf, nil
}

// Close implements Source.
func (s *folderSource) Close() error { return nil }
