package pack

import (
	"errors"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/storage"
)

func TestSplitOfOneName(t *testing.T) {
	for name, want := range map[string]string{
		"train": "train", "Training": "train", "train.X1": "train", "val0000": "val", "VALID": "val", "seg_train": "train", "train2017": "train",
		"test": "test", "holdout-3": "test", "dev": "test", "eval_set": "test", "trainval": "", "train-val": "", "interval": "", "n01440764": "", "": "",
	} {
		if got, _ := splitOf(name); got != want {
			t.Errorf("%q is of split %q, want %q", name, got, want)
		}
	}
}

func TestLabelsAsTheyAreWritten(t *testing.T) {
	for _, c := range []struct{ text, want, fault string }{
		{"3", "3", ""}, {" 3\n", "3", ""}, {"3.0", "3", ""}, {"3.", "3", ""}, {"007", "7", ""}, {"+4", "4", ""}, {"-0", "0", ""}, {"\ufeff5", "5", ""},
		{"-1", "", ""}, {"-3.0", "", ""}, {"99999999", "99999999", ""}, {"n01440764", "n01440764", ""}, {"tench, Tinca tinca", "tench, Tinca tinca", ""}, {"café", "café", ""},
		{"", "", "no label"}, {" \n", "", "no label"}, {"None", "", "no label"}, {"NaN", "", "no label"},
		{"3.5", "", "neither an integer nor a name"}, {"1e3", "", "neither an integer nor a name"}, {".5", "", "neither"},
		{`{"label": 3}`, "", "JSON"}, {"[3]", "", "JSON"}, {"caf\xe9", "", "not UTF-8"}, {"\x80\x04K\x03.", "", "UTF-8"}, {"a\x00b", "", "cannot be printed"}, {"a\nb", "", "cannot be printed"},
	} {
		got, err := label(c.text)
		if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) || err == nil && got != c.want {
			t.Errorf("%q: %q, %v", c.text, got, err)
		}
	}
}

func TestRowsOfNumberedFiles(t *testing.T) {
	for _, c := range []struct{ names, gaps, fault string }{
		{"train-0.tar train-1.tar val-0.tar", "", ""},
		{"train-000.tar train-002.tar train-003.tar", "train-001.tar", ""},
		{"train-0.tar train-9.tar", "", ""}, // nine are there for each that is: no row
		{"a-0-of-2.parquet", "", "a-1-of-2 is not there"},
		{"a-00000-of-00002-3f1b.parquet a-00001-of-00002-77ab.parquet", "", ""},
		{"a-00000-of-00002-3f1b.parquet a-00001-of-00002-77ab.parquet a-00001-of-00002-0000.parquet", "", "comes twice"},
		{"a-1-of-2.tar a-2-of-2.tar", "", ""},
		{"train-2024-01-01T10:00:00.tar train-2024-01-01T10:00:30.tar", "", ""},
	} {
		gaps, err := checkRows(strings.Fields(c.names))
		if (err == nil) != (c.fault == "") || err != nil && (!errors.Is(err, storage.ErrUnfit) || !strings.Contains(err.Error(), c.fault)) ||
			(len(gaps) > 0) != (c.gaps != "") || len(gaps) > 0 && !strings.HasSuffix(gaps[0], ": "+c.gaps) {
			t.Errorf("%s: %v, %v", c.names, gaps, err)
		}
	}
}

func TestPatternsOfFilesAndFolders(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"test", "test/a/1.jpg", true}, {"test", "x/test", true}, {"test", "test.tar", true}, {"test", "tests", false}, {"val*", "d/val-3.tar", true},
		{"0000[12].tar", "00002.tar", true}, {"0000[12].tar", "00003.tar", false}, {"x/y/", "x/y/z.tar", true}, {"y/z.tar", "x/y/z.tar", false},
	} {
		if got := matches([]string{c.pattern}, c.name); got != c.want {
			t.Errorf("%s and %s: %v", c.pattern, c.name, got)
		}
	}
}

func TestKindsByTheirFirstBytes(t *testing.T) {
	for head, want := range map[string]string{
		"\xff\xd8\xff\xe0": "jpg", "\x89PNG\r\n\x1a\n": "png", "RIFF\x00\x00\x00\x00WEBPVP8 ": "webp", "GIF89a": "a GIF file", "PK\x03\x04": "a zip archive: unpack it",
		"": "an empty file", "some words\nand more": "a text file", "\x00\x01\x02": `a file that begins with "\x00\x01\x02"`,
		"version https://git-lfs.github.com/spec/v1\n": "a pointer of git-lfs: git lfs pull brings the file", strings.Repeat("\x00", 257) + "ustar": "tar",
	} {
		if got := kindOf([]byte(head)); got != want {
			t.Errorf("%q is %q, want %q", head, got, want)
		}
	}
}
