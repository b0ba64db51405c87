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

// Source is a set of labelled images that Pack reads. A listing comes first, without a look at the
// images; those that are chosen are then asked for in Pack's own order, so a source must be able to
// read any of them at any time.
type Source interface {
	// List finds every image. It is called once, before Read.
	List(ctx context.Context) (Listing, error)
	// Read appends the bytes of image i of the listing, as they are, to buf. It is called by
	// several goroutines at once.
	Read(i int, buf []byte) ([]byte, error)
	// Close gives back files and space. Pack does not call it.
	Close() error
}

// fetcher is a Source that has to make ready the images that are chosen. Fetch is called once with
// their places in the listing, before Read.
type fetcher interface {
	Fetch(ctx context.Context, places []int) error
}

// Listing is what a Source holds.
type Listing struct {
	// Items are the images, in any order but always the same one.
	Items []Item
	// Classes are the class names in the source's own label order, or nil where it has none of its
	// own: Pack then sorts the names.
	Classes []string
	// Numbered says that the classes come from labels, which may be numbers: these are then the
	// label order.
	Numbered bool
	// Drawn says that the images are made from arrays of pixels, so that their size is no sign of a
	// small copy.
	Drawn bool
	// Rejects are files that are left out: none of them is an image of train or val.
	Rejects []Reject
	// Empty are the folders or tar files of classes in which there is no image, as SPLIT/CLASS.
	Empty []string
	// Warnings are what may be a mistake.
	Warnings []string
}

// Item is one image of a Source.
type Item struct {
	Split string // "train" or "val"
	Name  string // names the image among all of its split, such as "n01558993/n01558993_10.JPEG"; the packing order is a hash of it
	Class string // class name, or "" for an image without label
	Ext   string // "jpg", "jpeg", "png" or "webp": the ending of the tar member's name; "" where only the bytes tell it
	File  string // the file's original name, kept in the sample's .json member; "" = no such member
	// Unlabelled says why there is no label; nil with a Class of "" is an image that its owner has
	// marked as unlabelled.
	Unlabelled error
}

// Reject is an image, or another file, that was left out.
type Reject struct {
	Split string // "": it lies in no split
	// Name is its path below the folder of train or val. Of what stands for many images, or lies in
	// neither, it is the path below the source.
	Name   string
	Images int // how many images it stands for; 0 means one
	Err    error
}

// path is where it lies below the source.
func (r Reject) path() string {
	if r.Images > 0 || r.Split != trainSplit && r.Split != valSplit {
		return r.Name
	}
	return r.Split + "/" + r.Name
}

// Count is the number of images that a reject stands for.
func (r Reject) Count() int { return max(r.Images, 1) }

// String is one line: the image and why it was left out.
func (r Reject) String() string {
	if r.Images > 0 {
		return fmt.Sprintf("%s, %d images: %v", r.path(), r.Images, r.Err)
	}
	return fmt.Sprintf("%s: %v", r.path(), r.Err)
}

func compareRejects(a, b Reject) int {
	return cmp.Or(strings.Compare(a.Split, b.Split), strings.Compare(a.Name, b.Name), strings.Compare(a.Err.Error(), b.Err.Error()))
}

// layout is what a source looks like.
const layout = "train/CLASS/*.JPEG and val/CLASS/*.JPEG, tar files of these, WebDataset shards train-*.tar and val-*.tar, " +
	"train-*.parquet and val-*.parquet, or train-images-idx3-ubyte, train-labels-idx1-ubyte and the same of t10k"

// SourceOptions say what no rule can know of a source.
type SourceOptions struct {
	// TempDir is for what cannot be read in place: parquet and compressed tar files. "" means the
	// system's temporary folder.
	TempDir string
	// Train and Val are patterns of the files and folders that are a split, as path.Match has them;
	// without any, the words of names tell.
	Train, Val []string
	// Unlabelled takes images as they lie, without labels: see Labels.
	Unlabelled bool
	// HoldOut passes over the source's own val, for PackOptions.HoldOut. What no word names is
	// train where nothing else is.
	HoldOut bool
	// ValLabels is a file with the labels of val where its images lie in no class folders.
	ValLabels string
	// Label is the column of parquet files, or the field of WebDataset's .json members, that has
	// the label; "" = the usual ones.
	Label string
	// Follow takes folders that a link leads to out of the source. Without it such a link is an
	// error: a source may come from strangers, and hold a link to what is none of theirs.
	Follow bool
}

// OpenSource finds out what lies at path, a file or a folder, and opens it: class folders of
// images, tar files of them, WebDataset shards, parquet files, or the MNIST family's IDX files.
func OpenSource(ctx context.Context, path string, o SourceOptions) (Source, error) {
	if o.HoldOut {
		o.Val = []string{noPath} // as if another val were asked for
	}
	t, err := grow(ctx, path, o)
	if err != nil {
		t.Close()
		return nil, err
	}
	t.dropTables()
	switch {
	case len(t.parquet) == 0 && len(t.idx) == 0:
		return &treeSource{tree: t, options: o}, nil
	case len(t.parquet) > 0 && len(t.idx) > 0, t.splitImages():
		t.Close()
		return nil, unfit("%s holds more than one of parquet files, IDX files, and images or tar files: give the folder that has one kind", path)
	case len(t.idx) > 0:
		defer t.Close()
		return fromIDXFolder(t, o)
	}
	return &parquetSource{tree: t, options: o}, nil
}

// dropTables leaves out parquet files that lie beside a tar file of their name: they are its table.
func (t *tree) dropTables() {
	t.parquet = slices.DeleteFunc(t.parquet, func(name string) bool {
		beside := strings.TrimSuffix(name, filepath.Ext(name)) + ".tar"
		is := slices.ContainsFunc(t.folders, func(f *folder) bool { return f.shard && pathOf(f.parts) == beside })
		if is {
			t.rejects = append(t.rejects, Reject{Name: name, Err: fmt.Errorf("the table of %s", beside)})
		}
		return is
	})
}

// noPath is a pattern that matches no file, because it has a zero byte.
const noPath = "\x00"

// splitImages tells whether there are images or tar files in a folder of a split.
func (t *tree) splitImages() bool {
	return slices.ContainsFunc(t.folders, func(f *folder) bool {
		split := slices.ContainsFunc(f.parts, func(p part) bool { of, _ := splitOf(p.name); return of != "" })
		return len(f.members) > 0 && split
	})
}

// extent is where an image lies: in a piece of an open file, or in a file of its own.
type extent struct {
	path           string // of its own file; "" in an open one
	file           int    // place among the open files
	offset, length int64
}

// extents reads images that lie at known places.
type extents struct {
	files  []*os.File
	places []extent // by the image's place in the listing
}

// Read implements Source.
func (e *extents) Read(i int, buf []byte) ([]byte, error) { return e.appendAt(buf, e.places[i]) }

// appendAt appends the bytes of one place to buf.
func (e *extents) appendAt(buf []byte, at extent) ([]byte, error) {
	if at.path != "" {
		image, err := os.ReadFile(at.path)
		return append(buf, image...), err
	}
	start := len(buf)
	buf = slices.Grow(buf, int(at.length))[:start+int(at.length)]
	n, err := e.files[at.file].ReadAt(buf[start:], at.offset)
	if n == int(at.length) {
		return buf, nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return buf[:start], fmt.Errorf("%s: %w", e.files[at.file].Name(), err)
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
