package pack

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cijepa/cijepa/storage"
)

// The rules of this file say what a name, the first bytes of a file or the text of a label mean.
// All readers share them.

// The splits. Words of other parts of a data set are known, so that they are never taken for one of
// the two that a run uses.
const (
	trainSplit = "train"
	valSplit   = "val"
	otherSplit = "test" // known and passed over
)

var splitOfWord = map[string]string{
	"train": trainSplit, "training": trainSplit,
	"val": valSplit, "valid": valSplit, "validation": valSplit,
	"test": otherSplit, "tests": otherSplit, "testing": otherSplit, "eval": otherSplit, "evaluation": otherSplit, "dev": otherSplit, "holdout": otherSplit,
}

// splitOf finds the word that names a split among the words of one file or folder name. Digits and
// signs part words: val0000 names a split, trainval does not. A name with words of two splits names
// none. t10k- is the val of the MNIST family.
func splitOf(name string) (split, word string) {
	name = strings.ToLower(name)
	if strings.HasPrefix(name, "t10k-") {
		return valSplit, "t10k"
	}
	for _, w := range strings.FieldsFunc(name, func(c rune) bool { return !unicode.IsLetter(c) }) {
		of := splitOfWord[w]
		switch {
		case of == "":
		case split == "":
			split, word = of, w
		case of != split:
			return "", ""
		}
	}
	return split, word
}

// unfit is the error of what no data set can be made of as it is, and corrupt that of damaged
// bytes.
func unfit(format string, args ...any) error {
	return fmt.Errorf("%w: %w", storage.ErrUnfit, fmt.Errorf(format, args...))
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %w", storage.ErrCorrupt, fmt.Errorf(format, args...))
}

// hiddenPath tells a path one of whose names is hidden.
func hiddenPath(name string) bool {
	return slices.ContainsFunc(strings.Split(strings.TrimPrefix(path.Clean("/"+name), "/"), "/"), hidden)
}

// hidden tells names that no data set owns: those that begin with a dot, and the folders that Macs
// and storage boxes leave.
func hidden(name string) bool {
	return strings.HasPrefix(name, ".") || name == "__MACOSX" || name == "@eaDir"
}

var errUnfinished = errors.New("the name is that of a download or a copy that has not ended")

// unfinished tells the names of files that a download or a copy has not ended.
func unfinished(name string) bool {
	return slices.Contains([]string{".part", ".partial", ".tmp", ".crdownload", ".incomplete", ".aria2"}, strings.ToLower(path.Ext(name)))
}

// matches tells whether a pattern names a path below the source, or a folder above it.
func matches(patterns []string, name string) bool {
	for of := name; of != "." && of != "/"; of = path.Dir(of) {
		if matchesHere(patterns, of) {
			return true
		}
	}
	return false
}

// matchesHere tells whether a pattern names this path, with all its folders or with its last name
// alone.
func matchesHere(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		pattern = path.Clean(pattern)
		for _, whole := range []string{name, stem(name), path.Base(name), stem(path.Base(name))} {
			if ok, err := path.Match(pattern, whole); ok && err == nil {
				return true
			}
		}
		return false
	})
}

// archiveEndings are cut off the name of an archive that stands for a folder.
var archiveEndings = []string{".tar.gz", ".tgz", ".tar"}

// stem is the name of a file without the ending of an archive.
func stem(name string) string {
	for _, ending := range archiveEndings {
		if cut := len(name) - len(ending); cut > 0 && strings.EqualFold(name[cut:], ending) {
			return name[:cut]
		}
	}
	return name
}

// unpackedName is the name of the folder that an archive of any kind was made of.
func unpackedName(name string) string {
	name = stem(name)
	for _, ending := range []string{".zip", ".rar", ".7z", ".tar.bz2", ".tar.xz", ".tar.zst"} {
		name = strings.TrimSuffix(name, ending)
	}
	return name
}

// imageExt gives the ending of an image's name in small letters, without the dot; "" for a name
// that is not an image's.
func imageExt(name string) string {
	ext := strings.TrimPrefix(strings.ToLower(path.Ext(name)), ".")
	if ext == "jpeg" || slices.Contains(imageKinds, ext) {
		return ext
	}
	return ""
}

// imageKinds are the images that are packed.
var imageKinds = []string{"jpg", "png", "webp"}

// headLength is how many bytes of a file tell its kind.
const headLength = 512

// kinds are the files that are told by their first bytes, and in words what they are.
var kinds = []struct {
	at          int
	magic, kind string
}{
	{0, "\xff\xd8\xff", "jpg"}, {0, "\x89PNG\r\n\x1a\n", "png"},
	{0, "GIF8", "a GIF file"}, {0, "BM", "a BMP file"}, {0, "II*\x00", "a TIFF file"}, {0, "MM\x00*", "a TIFF file"}, {4, "ftypavif", "an AVIF file"},
	{4, "ftyphei", "a HEIF file"}, {4, "ftypmif1", "a HEIF file"}, {4, "jP  ", "a JPEG 2000 file"}, {0, "\xff\x0a", "a JPEG XL file"}, {4, "JXL ", "a JPEG XL file"},
	{0, "PK\x03\x04", "a zip archive: unpack it"}, {0, "7z\xbc\xaf", "a 7z archive: unpack it"}, {0, "Rar!", "a rar archive: unpack it"},
	{0, "BZh", "compressed with bzip2: unpack it"}, {0, "\xfd7zXZ", "compressed with xz: unpack it"}, {0, "\x28\xb5\x2f\xfd", "compressed with zstd: unpack it"},
	{0, "\x1f\x8b", "gzip"}, {257, "ustar", "tar"}, {0, "PAR1", "parquet"}, {0, "\x00\x00\x08\x03", "idx"}, {0, "\x00\x00\x08\x01", "idx"},
	{0, "ARROW1", "an Arrow file: export it to parquet"}, {0, "\xff\xff\xff\xff", "an Arrow stream: export it to parquet"}, {0, "\x89HDF", "an HDF5 file: export its images"},
	{0, "\x93NUMPY", "a NumPy array: export its images"}, {0, "\x80\x02", "a Python pickle: export its images"},
	{0, "\x80\x03", "a Python pickle: export its images"}, {0, "\x80\x04", "a Python pickle: export its images"}, {0, "\x80\x05", "a Python pickle: export its images"},
	{0, "MATLAB 5.0", "a MATLAB file: export its images"},
	{0, "version https://git-lfs", "a pointer of git-lfs: git lfs pull brings the file"}, {0, "/annex/objects", "a pointer of git-annex: git annex get brings the file"},
	{0, "<!DOCTYPE", "a web page"}, {0, "<html", "a web page"},
}

// kindOf tells the kind of a file from its first bytes: "jpg", "png", "webp", "gzip", "tar",
// "parquet" or "idx", or words for what is none of them.
func kindOf(head []byte) string {
	for _, k := range kinds {
		if len(head) >= k.at && bytes.HasPrefix(head[k.at:], []byte(k.magic)) {
			return k.kind
		}
	}
	switch {
	case len(head) >= 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WEBP":
		return "webp"
	case len(head) == 0:
		return "an empty file"
	case !bytes.ContainsFunc(head, func(c rune) bool { return c == utf8.RuneError || unicode.IsControl(c) && !unicode.IsSpace(c) }):
		return "a text file"
	}
	return fmt.Sprintf("a file that begins with %.8q", head)
}

// foreign are endings of files whose first bytes do not tell them, and what to do about them.
var foreign = map[string]string{
	".tfrecord": "a TFRecord file: export it to WebDataset, parquet or folders", ".tfrecords": "a TFRecord file: export it to WebDataset, parquet or folders",
	".arrow": "an Arrow file: export it to parquet", ".beton": "an FFCV file: export it to WebDataset or folders", ".mds": "a MosaicML shard: export it to WebDataset",
}

// tfrecord tells a TFRecord file: a length of 8 bytes, its checksum, then a record that is as long
// as it says and begins as an Example does.
func tfrecord(head []byte) bool {
	return len(head) > 13 && head[12] == 0x0a && bytes.Equal(head[3:8], make([]byte, 5)) && head[0] != 0
}

// imageKind gives the ending of an image, by its first bytes, or says why it is none that the
// project reads. The ending of its name is kept where it does not lie.
func imageKind(ext string, data []byte) (string, error) {
	kind := kindOf(data[:min(len(data), headLength)])
	switch {
	case ext == "jpeg" && kind == "jpg":
		return ext, nil
	case slices.Contains(imageKinds, kind):
		return kind, nil
	case kind == "an empty file":
		return "", errors.New("the file is empty")
	case !strings.Contains(kind, " "):
		kind = "a " + kind + " file"
	}
	return "", fmt.Errorf("not a JPEG, PNG or WebP image but %s", kind)
}

// largestNumber bounds class numbers: anything from here on is a name made of digits.
const largestNumber = 1 << 20

var (
	integer = regexp.MustCompile(`^([+-]?)([0-9]+)(\.0*)?$`)
	number  = regexp.MustCompile(`^[+-]?[0-9]*\.?[0-9]+([eE][+-]?[0-9]+)?$`)
)

// label reads the text of a label. A class number is written in one way, also if it came as 3.0; a
// negative one marks a sample without label, as its owner means it, and is "" and no error. What is
// no label at all is an error.
func label(text string) (string, error) {
	text = strings.TrimSpace(strings.TrimPrefix(text, "\ufeff"))
	if m := integer.FindStringSubmatch(text); m != nil {
		n, err := strconv.ParseUint(m[2], 10, 64)
		switch {
		case m[1] == "-" && n > 0:
			return "", nil
		case err == nil && n < largestNumber:
			return strconv.FormatUint(n, 10), nil
		}
		return strings.TrimSuffix(text, m[3]), nil
	}
	switch {
	case text == "" || slices.Contains([]string{"None", "null", "nan", "NaN"}, text):
		return "", errNoLabel
	case number.MatchString(text):
		return "", fmt.Errorf("the label %.20q is neither an integer nor a name", text)
	case strings.ContainsAny(text[:1], "{["):
		return "", fmt.Errorf("the label %.40q is JSON: -label KEY takes a field of the .json member", text)
	}
	return text, className(text)
}

// errNoLabel tells of a sample whose label is missing, as against one that is marked as unlabelled.
var errNoLabel = errors.New("it has no label")

// errNoFolder is that of an image whose class a folder has to tell.
var errNoFolder = fmt.Errorf("%w: it lies in no class folder", errNoLabel)

// className refuses what cannot be written in an index and read again.
func className(name string) error {
	switch {
	case !utf8.ValidString(name):
		return fmt.Errorf("the class name %.40q is not UTF-8: rename it", name)
	case strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }):
		return fmt.Errorf("the class name %.40q has characters that cannot be printed: it is no text", name)
	}
	return nil
}

// isNumber tells a class number as label writes it.
func isNumber(class string) bool {
	_, err := strconv.ParseUint(class, 10, 20)
	return err == nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
