package pack

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// groundTruth is the file of ILSVRC's development kit: line i has the class number of image i.
const groundTruth = "ILSVRC2012_validation_ground_truth.txt"

// imageStem names an image as files of labels do: without folder and ending.
func imageStem(name string) string {
	name = path.Base(filepath.ToSlash(name))
	if imageExt(name) != "" {
		name = strings.TrimSuffix(name, path.Ext(name))
	}
	return name
}

// readLabelFile gives the classes of images by their stems. It reads tables of a file name and a
// class a line, parted by commas, tabs or blanks, in which other columns may stand (Tiny-ImageNet's
// val_annotations.txt, Kaggle's LOC_val_solution.csv, the commands of valprep.sh), and ILSVRC's
// development kit, as its folder, its archive or its ground truth beside meta.mat or
// map_clsloc.txt. isImage tells the stems of the images that want a class.
func readLabelFile(name string, isImage func(stem string) bool) (map[string]string, error) {
	kit, err := openKit(name)
	if err != nil {
		return nil, err
	}
	text, isKit := kit[groundTruth]
	if !isKit {
		if text, err = os.ReadFile(name); err != nil {
			return nil, err
		}
	}
	if labels, err := kitLabels(text, kit); isKit || !errors.Is(err, errNotNumbers) {
		return labels, err
	}
	classes := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff"))))
	for lines.Scan() {
		fields := strings.FieldsFunc(lines.Text(), func(c rune) bool { return strings.ContainsRune(",;\t \"", c) })
		for i, field := range fields {
			if !isImage(imageStem(field)) || len(fields) < 2 {
				continue
			}
			class := fields[max(i-1, 0)]
			if i+1 < len(fields) {
				class = fields[i+1]
			}
			if classes[imageStem(field)], err = label(strings.TrimSuffix(class, "/")); err != nil {
				return nil, unfit("%s: %s: %w", name, field, err)
			}
			break
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(classes) == 0 {
		return nil, unfit("%s names none of the images of split val beside a class", name)
	}
	return classes, nil
}

// kitFiles are the files of a development kit that matter.
var kitFiles = []string{groundTruth, "meta.mat", "map_clsloc.txt"}

// openKit reads the files of a development kit from a folder, an archive, or beside the named file,
// which is then in the place of the ground truth.
func openKit(name string) (map[string][]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if stem(name) != name {
		return readArchive(name)
	}
	kit, dir, wanted := map[string][]byte{}, name, kitFiles
	if !info.IsDir() {
		dir, wanted = filepath.Dir(name), kitFiles[1:]
	}
	for _, file := range wanted {
		for _, above := range []string{"", "*/", "*/*/"} {
			found, _ := fs.Glob(os.DirFS(dir), above+file) // only a bad pattern is an error
			for _, at := range found {
				if kit[file], err = os.ReadFile(filepath.Join(dir, filepath.FromSlash(at))); err != nil {
					return nil, err
				}
			}
		}
	}
	return kit, nil
}

// readArchive takes the files of a kit out of a tar file, which may be compressed.
func readArchive(name string) (map[string][]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	kit := map[string][]byte{}
	in, err := gunzipped(file)
	if err == nil {
		_, err = scanTar(in, func(header *tar.Header, _ int64, content io.Reader) (err error) {
			if base := path.Base(header.Name); slices.Contains(kitFiles, base) {
				kit[base], err = io.ReadAll(content)
			}
			return err
		})
	}
	if err != nil {
		return nil, corrupt("%s: %w", name, err)
	}
	return kit, nil
}

var errNotNumbers = errors.New("not a class number a line")

// kitLabels reads a class number a line, in the order of the images, and turns the numbers into
// synsets.
func kitLabels(text []byte, kit map[string][]byte) (map[string]string, error) {
	var numbers []int
	for field := range strings.FieldsSeq(string(text)) {
		n, err := strconv.Atoi(field)
		if err != nil {
			return nil, errNotNumbers
		}
		numbers = append(numbers, n)
	}
	if len(numbers) == 0 {
		return nil, errNotNumbers
	}
	synsets, err := kitSynsets(kit)
	if err != nil {
		return nil, err
	}
	labels := make(map[string]string, len(numbers))
	for i, n := range numbers {
		if synsets[n] == "" {
			return nil, unfit("the ground truth has the class %d, which the development kit does not name", n)
		}
		labels[fmt.Sprintf("ILSVRC2012_val_%08d", i+1)] = synsets[n]
	}
	return labels, nil
}

// kitSynsets gives the synsets by the kit's class numbers, which count in an order of their own.
func kitSynsets(kit map[string][]byte) (map[int]string, error) {
	if data := kit["meta.mat"]; data != nil {
		return matSynsets(data)
	}
	synsets := map[int]string{}
	for line := range strings.Lines(string(kit["map_clsloc.txt"])) {
		if fields := strings.Fields(line); len(fields) >= 2 {
			if n, err := strconv.Atoi(fields[1]); err == nil {
				synsets[n] = fields[0]
			}
		}
	}
	if len(synsets) == 0 {
		return nil, unfit("the ground truth has class numbers of ILSVRC's development kit, and its meta.mat (or map_clsloc.txt), which tells their synsets, does not " +
			"lie beside it: give -val-labels the whole kit")
	}
	return synsets, nil
}

// The types of MATLAB's level 5 files that meta.mat is made of.
const (
	matMatrix     = 14
	matCompressed = 15
	matStruct     = 2 // class of a matrix
)

var errMat = corrupt("meta.mat is not the file of ILSVRC's development kit")

// matElement is a data element of a MATLAB file.
type matElement struct {
	kind int
	data []byte
}

// matElements reads elements: 4 bytes of type, 4 of length, the data, and zeros up to a multiple of
// 8; or both in 2 bytes each and up to 4 bytes of data. Behind a compressed element are no zeros.
func matElements(in []byte) (elements []matElement, err error) {
	for len(in) >= 8 {
		kind, length := int(binary.LittleEndian.Uint32(in)), int(binary.LittleEndian.Uint32(in[4:]))
		start, next := 8, 8+(length+7)/8*8
		if short := kind >> 16; short > 0 {
			kind, length, start, next = kind&0xffff, short, 4, 8
		} else if kind == matCompressed {
			next = start + length
		}
		if length > min(next, len(in))-start {
			return nil, errMat
		}
		elements = append(elements, matElement{kind, in[start : start+length]})
		in = in[min(next, len(in)):]
	}
	return elements, nil
}

// inflated reads the element that a compressed one holds.
func inflated(compressed []byte) (matElement, error) {
	r, err := zlib.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return matElement{}, errMat
	}
	plain, err := io.ReadAll(io.LimitReader(r, 64<<20))
	if err != nil {
		return matElement{}, errMat
	}
	elements, err := matElements(plain)
	if err != nil || len(elements) == 0 {
		return matElement{}, errMat
	}
	return elements[0], nil
}

// matSynsets reads the array of structs with the fields ILSVRC2012_ID and WNID.
func matSynsets(file []byte) (map[int]string, error) {
	const header = 128
	elements, err := matElements(file[min(header, len(file)):])
	if err != nil {
		return nil, err
	}
	for _, element := range elements {
		if element.kind == matCompressed {
			if element, err = inflated(element.data); err != nil {
				return nil, err
			}
		}
		if element.kind != matMatrix {
			continue
		}
		parts, err := matElements(element.data)
		if err != nil {
			return nil, err
		}
		if synsets := structSynsets(parts); len(synsets) > 0 {
			return synsets, nil
		}
	}
	return nil, errMat
}

// structSynsets takes the parts of a struct matrix: flags, dimensions, name, length of a field's
// name, the names, and then the values of each struct.
func structSynsets(parts []matElement) map[int]string {
	const values = 5
	if len(parts) < values || len(parts[0].data) < 1 || parts[0].data[0] != matStruct || len(parts[3].data) < 4 {
		return nil
	}
	length := int(binary.LittleEndian.Uint32(parts[3].data))
	if length < 1 {
		return nil
	}
	var fields []string
	for names := parts[4].data; len(names) >= length; names = names[length:] {
		fields = append(fields, string(bytes.TrimRight(names[:length], "\x00")))
	}
	synsets := map[int]string{}
	id := 0
	for i, value := range parts[values:] {
		inner, err := matElements(value.data)
		if err != nil || len(inner) < 4 || len(fields) == 0 {
			return nil
		}
		switch last := inner[3].data; fields[i%len(fields)] {
		case "ILSVRC2012_ID":
			id = matNumber(last)
		case "WNID":
			synsets[id] = strings.ReplaceAll(string(last), "\x00", "") // of one or two bytes a letter
		}
	}
	return synsets
}

// matNumber reads a whole number, which is stored as a float or as a small integer.
func matNumber(data []byte) int {
	if len(data) == 8 {
		return int(math.Float64frombits(binary.LittleEndian.Uint64(data)))
	}
	n := 0
	for i, b := range data {
		n |= int(b) << (8 * i)
	}
	return n
}
