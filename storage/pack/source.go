package pack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Source is a set of labelled images that Pack reads. A listing comes first; the images are then asked for in Pack's own order, so a source
// must be able to read any of them at any time.
type Source interface {
	// List finds every image. It is called once, before Read.
	List(ctx context.Context) (Listing, error)
	// Read appends the bytes of image i of the listing, as they are, to buf. It is called by several goroutines at once.
	Read(i int, buf []byte) ([]byte, error)
	// Close gives back files and space. Pack does not call it.
	Close() error
}

// Listing is what a Source holds.
type Listing struct {
	// Items are the images, in any order but always the same one.
	Items []Item
	// Classes are the class names in the source's own label order, or nil where it has none of its own: Pack then sorts the names.
	Classes []string
	// Rejects are files that stand among the images and are none by their names.
	Rejects []Reject
	// Empty are the folders or tar files of classes in which there is no image, as SPLIT/CLASS.
	Empty []string
}

// Item is one image of a Source.
type Item struct {
	Split string // "train" or "val"
	Name  string // names the image among all of its split, such as "n01558993/n01558993_10.JPEG"; the packing order is a hash of it
	Class string // class name, or "" for an image without label
	Ext   string // "jpg", "jpeg", "png" or "webp": the ending of the tar member's name
	File  string // the file's original name, kept in the sample's .json member; "" = no such member
}

// Reject is an image that Pack left out.
type Reject struct {
	Split, Name string
	Err         error
}

// String is one line: the image and why it was left out.
func (r Reject) String() string { return fmt.Sprintf("%s/%s: %v", r.Split, r.Name, r.Err) }

func compareRejects(a, b Reject) int {
	return cmp.Or(strings.Compare(a.Split, b.Split), strings.Compare(a.Name, b.Name))
}

// OpenSource finds out what lies at path, a file or a folder, and opens it: the MNIST family's IDX files, parquet files, folders of
// classes in a folder of a split, tar files, or else a tree of class folders. tempDir is for the copy that parquet files need; "" means the system's temporary folder.
func OpenSource(path, tempDir string) (Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		switch strings.ToLower(filepath.Ext(path)) {
		case ".tar":
			return FromTars(path), nil
		case ".parquet":
			return FromParquet(tempDir, path), nil
		}
		return nil, fmt.Errorf("%s is neither a folder nor a .tar or .parquet file", path)
	}
	if images, err := filepath.Glob(filepath.Join(path, "train-images-idx3-ubyte*")); err == nil && len(images) > 0 {
		return fromIDXFolder(path)
	}
	for _, pattern := range []string{"*.parquet", "data/*.parquet"} {
		if names, err := filepath.Glob(filepath.Join(path, pattern)); err == nil && len(names) > 0 {
			return FromParquet(tempDir, names...), nil
		}
	}
	if hasClassFolders(path) { // whatever else lies there: often what they were unpacked from
		return FromFolder(path), nil
	}
	for _, pattern := range []string{"*.tar", "train/*.tar"} {
		if names, err := filepath.Glob(filepath.Join(path, pattern)); err == nil && len(names) > 0 {
			return FromTars(path), nil
		}
	}
	return FromFolder(path), nil
}

// hasClassFolders says whether a folder of a split is there that has folders in it.
func hasClassFolders(root string) bool {
	isFolder := func(path string) bool {
		info, err := os.Stat(path) // of what a link leads to
		return err == nil && info.IsDir() && !strings.HasPrefix(filepath.Base(path), ".")
	}
	splits, _ := os.ReadDir(root) // what cannot be read has none
	for _, split := range splits {
		if splitName(split.Name()) == "" {
			continue
		}
		path := filepath.Join(root, split.Name())
		classes, _ := os.ReadDir(path)
		if slices.ContainsFunc(classes, func(c os.DirEntry) bool { return isFolder(filepath.Join(path, c.Name())) }) {
			return true
		}
	}
	return false
}

// splitName gives the split of a folder or file that is called by one of the usual names, and "" for any other.
func splitName(name string) string {
	switch strings.ToLower(name) {
	case "train", "training":
		return "train"
	case "val", "valid", "validation":
		return "val"
	}
	return ""
}

// errNotImage refuses a file by its name.
var errNotImage = errors.New("the name does not end in .jpg, .jpeg, .png or .webp")

// imageExt gives the ending of an image's name in small letters, without the dot; "" for a name that is not an image's.
func imageExt(name string) string {
	ext := strings.TrimPrefix(strings.ToLower(filepath.Ext(name)), ".")
	if slices.Contains([]string{"jpg", "jpeg", "png", "webp"}, ext) {
		return ext
	}
	return ""
}

// extent is where an image lies.
type extent struct {
	file           int
	offset, length int64
}

// extents reads images that lie in large files, each in one piece.
type extents struct {
	files  []*os.File
	places []extent // by the image's place in the listing
}

// Read implements Source.
func (e *extents) Read(i int, buf []byte) ([]byte, error) {
	place := e.places[i]
	start := len(buf)
	buf = slices.Grow(buf, int(place.length))[:start+int(place.length)]
	n, err := e.files[place.file].ReadAt(buf[start:], place.offset)
	if n == int(place.length) {
		return buf, nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return buf[:start], fmt.Errorf("%s: %w", e.files[place.file].Name(), err)
}

// Close implements Source.
func (e *extents) Close() error {
	var errs []error
	for _, file := range e.files {
		errs = append(errs, file.Close())
	}
	e.files = nil
	return errors.Join(errs...)
}
