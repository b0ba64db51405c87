package pack

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// tree is what lies below a path: folders of files, and tar files, which are folders as well. It is
// found without a look at what the names mean but for the endings of images, so that a million of
// them need not be opened.
type tree struct {
	extents
	tempDir string
	folders []*folder
	parquet []string          // paths below the root
	idx     []string          // as above
	labels  map[string]string // files of labels by their base names, in full
	lists   map[string]int64  // sizes of .json files, which may be other tools' lists of shards
	rejects []Reject          // Split is "" and Name the path below the root
	foreign map[string]int    // files of other tools, in words
	root    string
	dir     string // that the paths are below: root, or the folder of the file that root is
	inside  string // root without links, out of which no link of a folder may lead; "" if any may
}

// folder is a folder with images in it, or a whole shard of WebDataset samples.
type folder struct {
	parts   []part
	disk    bool // not in a tar file
	members []leaf
	shard   bool // members are all of a tar file, in its order, with their whole names
}

// part is one name of a path.
type part struct {
	name    string // without the ending of an archive
	file    string // as it is
	archive bool
}

// leaf is a file.
type leaf struct {
	name string
	at   extent
}

// pathOf joins names as they are on the disk.
func pathOf(parts []part) string {
	names := make([]string, len(parts))
	for i := range parts {
		names[i] = parts[i].file
	}
	return path.Join(names...)
}

// below adds a path of folders.
func below(parts []part, dir string) []part {
	parts = slices.Clone(parts)
	for _, name := range strings.FieldsFunc(dir, func(c rune) bool { return c == '/' }) {
		parts = append(parts, part{name: name, file: name})
	}
	return parts
}

// belowArchive adds the name of an archive.
func belowArchive(parts []part, name string) []part {
	return append(slices.Clone(parts), part{name: stem(name), file: name, archive: true})
}

// devkit stands for the archive of ILSVRC's development kit.
const devkit = "devkit"

// labelFiles are the files that name the classes of images by the names under which data sets ship
// them.
var labelFiles = []string{"val_annotations.txt", "LOC_val_solution.csv", groundTruth, devkit}

// grow walks the folder or the single archive at root. The tree is to be closed after an error too.
func grow(ctx context.Context, root string, o SourceOptions) (*tree, error) {
	t := &tree{root: root, dir: root, tempDir: o.TempDir, labels: map[string]string{}, lists: map[string]int64{}, foreign: map[string]int{}}
	info, err := os.Stat(root)
	if err == nil && !o.Follow {
		t.inside, err = realPath(root)
	}
	if err != nil {
		return t, err
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return t, t.walk(ctx, nil, []fs.FileInfo{info})
	case !mode.IsRegular():
		return t, unfit("%s is %w", root, errNotAFile)
	}
	t.dir = filepath.Dir(root)
	return t, t.file(ctx, filepath.Base(root), &folder{})
}

var errNotAFile = errors.New("neither a file nor a folder but a pipe, a socket or a device")

// realPath is a path without links, from the root of the disk.
func realPath(name string) (string, error) {
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		return "", err
	}
	return filepath.Abs(name)
}

// open opens a file of the source, which is closed with the tree.
func (t *tree) open(name string) (*os.File, error) {
	file, err := os.Open(t.place(name))
	if err == nil {
		t.files = append(t.files, file)
	}
	return file, err
}

// place is where a path below the source lies on the disk.
func (t *tree) place(name string) string { return filepath.Join(t.dir, filepath.FromSlash(name)) }

// reject notes a file that is left out.
func (t *tree) reject(in []part, name string, err error) {
	names := make([]string, 0, len(in)+1)
	for _, p := range in {
		names = append(names, p.name)
	}
	t.rejects = append(t.rejects, Reject{Name: path.Join(append(names, name)...), Err: err})
}

// walk takes up a folder. above are the folders that it lies in, so that a link to one of them is
// no way round in a circle.
func (t *tree) walk(ctx context.Context, parts []part, above []fs.FileInfo) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dir := t.place(pathOf(parts))
	entries, err := os.ReadDir(dir)
	if err != nil {
		if len(parts) == 0 {
			return err
		}
		t.reject(parts[:len(parts)-1], parts[len(parts)-1].file, err)
		return nil
	}
	here := &folder{parts: parts, disk: true}
	t.folders = append(t.folders, here)
	var others, unpacked []string // files that are no images by their names; folders with images
	for _, entry := range entries {
		name, place, mode := entry.Name(), filepath.Join(dir, entry.Name()), entry.Type()
		link := mode&fs.ModeSymlink != 0
		if hidden(name) {
			continue
		}
		var info fs.FileInfo
		if link || mode.IsDir() {
			if info, err = os.Stat(place); err != nil {
				t.reject(parts, name, errors.New("a link to what is not there"))
				continue
			}
			mode = info.Mode().Type()
		}
		switch {
		case mode.IsRegular() && imageExt(name) != "":
			here.members = append(here.members, leaf{name, extent{path: place}})
		case mode.IsRegular():
			others = append(others, name)
		case !mode.IsDir():
			t.reject(parts, name, errNotAFile)
		case link && belowClass(parts):
			t.reject(parts, name, errors.New("a link to a folder within a class"))
		case link && t.leadsOut(place):
			return unfit("%s is a link to a folder out of the source: -follow takes it, or give a source without it", place)
		case slices.ContainsFunc(above, func(f fs.FileInfo) bool { return os.SameFile(f, info) }):
			t.reject(parts, name, errors.New("a link to a folder that it lies in"))
		default:
			first := len(t.folders)
			if err := t.walk(ctx, below(parts, name), append(above[:len(above):len(above)], info)); err != nil {
				return err
			}
			if slices.ContainsFunc(t.folders[first:], func(f *folder) bool { return len(f.members) > 0 }) {
				unpacked = append(unpacked, name)
			}
		}
	}
	return t.takeFiles(ctx, here, others, unpacked)
}

// takeFiles takes up files of a folder that are no images by their names. It leaves out archives
// beside what was made of them: unpacked folders, or another archive.
func (t *tree) takeFiles(ctx context.Context, here *folder, names, unpacked []string) error {
	stems := map[string]string{} // what archives may have been made of
	for _, name := range unpacked {
		stems[name] = name
	}
	for _, name := range names {
		if of := unpackedName(name); of != name && stems[of] != "" {
			t.reject(here.parts, name, fmt.Errorf("it lies beside %s, which has its name", stems[of]))
			continue
		}
		stems[unpackedName(name)] = name
		if err := t.file(ctx, name, here); err != nil {
			return err
		}
	}
	return nil
}

// leadsOut tells whether a link leads out of the source, if that is not asked for.
func (t *tree) leadsOut(link string) bool {
	if t.inside == "" {
		return false
	}
	target, err := realPath(link)
	return err != nil || target != t.inside && !strings.HasPrefix(target, t.inside+string(filepath.Separator))
}

// belowClass tells whether a folder is that of a class or lies in one.
func belowClass(parts []part) bool {
	for i := range parts {
		if split, _ := splitOf(parts[i].name); split != "" {
			return len(parts) > i+1
		}
	}
	return len(parts) > 0
}

// file takes up a file that is not an image by its name: its first bytes say what it is.
func (t *tree) file(ctx context.Context, name string, here *folder) error {
	in, below := here.parts, path.Join(pathOf(here.parts), name)
	place := t.place(below)
	if stem(name) != name && strings.Contains(strings.ToLower(name), "devkit") {
		t.labels[devkit] = place
		return nil
	}
	if unfinished(name) {
		t.reject(in, name, errUnfinished)
		return nil
	}
	head, err := readHead(place)
	if err != nil {
		t.reject(in, name, err)
		return nil
	}
	kind, ending, zipped := kindOf(head), strings.ToLower(path.Ext(name)), false
	if zipped = kind == "gzip"; zipped {
		if kind = kindOf(unzipped(head)); kind == "idx" || kind == "tar" || stem(name) != name {
			head = unzipped(head)
		}
	}
	switch {
	case kind == "idx":
		t.idx = append(t.idx, below)
	case kind == "parquet", ending == ".parquet":
		t.parquet = append(t.parquet, below)
	case kind == "tar", ending == ".tar" && stem(name) != name && len(head) > 0 && len(bytes.TrimRight(head, "\x00")) == 0:
		return t.openTar(ctx, belowArchive(in, name), zipped)
	case stem(name) != name:
		return corrupt("%s is not a tar file but %s", below, kind)
	case slices.Contains(imageKinds, kind):
		here.members = append(here.members, leaf{name, extent{path: place}})
	case slices.Contains(labelFiles, name):
		t.labels[name] = place
	default:
		if info, err := os.Stat(place); err == nil && ending == ".json" {
			t.lists[below] = info.Size()
		}
		t.reject(in, name, t.notImage(kind, ending, head))
	}
	return nil
}

// notImage says what a file is that is no image, and counts those of other tools.
func (t *tree) notImage(kind, ending string, head []byte) error {
	if tfrecord(head) {
		kind = foreign[".tfrecord"]
	}
	kind = cmp.Or(foreign[ending], kind)
	if strings.Contains(kind, ": ") {
		t.foreign[kind]++
	}
	if strings.HasSuffix(kind, ": unpack it") {
		return packedError{kind}
	}
	return fmt.Errorf("not an image but %s", kind)
}

// readHead reads the first bytes of a file, which tell its kind.
func readHead(place string) ([]byte, error) {
	file, err := os.Open(place)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	head := make([]byte, headLength)
	n, err := io.ReadFull(file, head)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return head[:n], err
}

// unzipped gives what a gzip file begins with, as far as its first bytes go.
func unzipped(head []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(head))
	if err != nil {
		return nil
	}
	out := make([]byte, headLength)
	n, _ := io.ReadFull(r, out) // it ends early
	return out[:n]
}
