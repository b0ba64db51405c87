package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// folderOf writes empty class folders for names that end with a slash, and files for the others.
func folderOf(t *testing.T, names ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range names {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			path = filepath.Join(path, ".keep")
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(path, []byte(name), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// packed runs cijepa pack on a source that is not looked at, and gives what it printed and the
// names in the bucket's folder.
func packed(t *testing.T, bucket, source string, flags ...string) (said string, stored []string, err error) {
	t.Helper()
	var out bytes.Buffer
	args := append(append([]string{"-data", "d", "-verify=false"}, flags...), source, "file://"+bucket)
	err = runPack(t.Context(), args, &out, nil, slog.New(slog.NewTextHandler(t.Output(), nil)))
	stored, globErr := filepath.Glob(filepath.Join(bucket, "*", "*"))
	if globErr != nil {
		t.Fatal(globErr)
	}
	return out.String(), stored, err
}

// TestPackRefusesWhatNoRunCanUse: what only another command line can mend is a usage error, and
// nothing is uploaded.
func TestPackRefusesWhatNoRunCanUse(t *testing.T) {
	source := folderOf(t, "train/a/1.jpg", "train/b/2.jpg", "val/a/3.jpg", "val/b/4.jpg")
	classes := func(text string) string {
		name := filepath.Join(t.TempDir(), "classes.txt")
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, c := range []struct {
		name, source string
		flags        []string
		says         []string
	}{
		{"one folder too deep", filepath.Join(source, "train"), nil, []string{"split val has no image", "train/CLASS/*.JPEG and val/CLASS/*.JPEG"}},
		{"two sets in one folder", filepath.Dir(source), nil, []string{"by their names: say which one is with -"}},
		{"a class that train lacks", folderOf(t, "train/a/1.jpg", "val/a/3.jpg", "val/A/4.jpg"), nil, []string{`1 of 2 classes of split val have no image in split train: "A"`}},
		{"no train", folderOf(t, "val/a/3.jpg"), nil, []string{"split train has no image", "train/CLASS"}},
		{"no val", folderOf(t, "train/a/3.jpg", "val/a/"), nil, []string{"split val has no image"}},
		{"no val of the list", folderOf(t, "train/a/3.jpg", "val/b/3.jpg"), []string{"-classes", classes("a\n")}, []string{"split val has no image of a listed class"}},
		{"nothing", folderOf(t, "train/a/"), nil, []string{"has no image: expected train/CLASS"}},
		{"no samples in a shard", source, []string{"-samples", "0"}, []string{"-samples 0"}},
		{"less than none", source, []string{"-samples", "-5"}, []string{"-samples -5"}},
		{"no class file", source, []string{"-classes", filepath.Join(source, "nowhere")}, []string{"-classes", "nowhere"}},
		{"an empty class file", source, []string{"-classes", classes("# none\n")}, []string{"-classes", "the class list is empty"}},
		{"a class twice", source, []string{"-classes", classes("a\na\n")}, []string{`class "a" is listed twice`}},
		{"a class without images", source, []string{"-classes", classes("a\nwasp\n")}, []string{`class "wasp" is listed`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, stored, err := packed(t, t.TempDir(), c.source, c.flags...)
			if !errors.Is(err, errUsage) || exitCode(err) != exitSettings || len(stored) > 0 {
				t.Errorf("%v, exit %d, stored %v", err, exitCode(err), stored)
			}
			for _, want := range c.says {
				if err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in %v", want, err)
				}
			}
		})
	}
}

// TestPackOverAnother: a destination that holds another data set is a usage error that names the
// index, also when the shard in question was never there.
func TestPackOverAnother(t *testing.T) {
	bucket := t.TempDir()
	if _, _, err := packed(t, bucket, folderOf(t, "train/a/1.jpg", "val/a/2.jpg")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(bucket, "d", "val-000000.tar")); err != nil {
		t.Fatal(err)
	}
	_, _, err := packed(t, bucket, folderOf(t, "train/a/1.jpg", "val/a/3.jpg"))
	if exitCode(err) != exitSettings || !strings.Contains(err.Error(), "d/index.json: already exists") || strings.Contains(err.Error(), "val-000000.tar") {
		t.Errorf("exit %d: %v", exitCode(err), err)
	}
}

// TestPackWarns: what may be a mistake and can be packed is told after the summary, a line for each
// kind.
func TestPackWarns(t *testing.T) {
	source := folderOf(t, "train/a/1.jpg", "train/b/2.jpg", "train/c/", "train/d/5.jpg", "val/a/3.jpg", "val/d/4.jpg", "val/e/")
	said, _, err := packed(t, t.TempDir(), source)
	if err != nil {
		t.Fatal(err)
	}
	_, warnings, _ := strings.Cut(said, "CIJEPA_DATA=d\n")
	if want := `warning: 1 of 3 classes have no sample in split val: b
warning: 2 class folders have no image: train/c, val/e
`; warnings != want {
		t.Errorf("it says\n%s", said)
	}
	list := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(list, []byte("a\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	said, _, err = packed(t, t.TempDir(), source, "-classes", list)
	if err != nil {
		t.Fatal(err)
	}
	_, warnings, _ = strings.Cut(said, "CIJEPA_DATA=d\n")
	if want := "warning: 2 classes of the source, with 3 images, are not in the class list: b, d\n"; warnings != want {
		t.Errorf("with a class list it says\n%s", said)
	}
}

// TestRejectsCanBeHadWhole: what was left out stands in a file, also what the summary cuts off.
func TestRejectsCanBeHadWhole(t *testing.T) {
	source := t.TempDir()
	files(folders).write(t, source)
	for i := range listedRejects + 5 {
		files(fmt.Sprintf("train/a/bad%02d.jpg:no_image_%d", i, i)).write(t, source)
	}
	list := filepath.Join(t.TempDir(), "rejects")
	said, err := packInto(t, t.TempDir(), source, "-rejects "+list)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said, "... and 5 more, all in "+list) || !strings.Contains(said, "25 images left out") {
		t.Errorf("it says\n%s", said)
	}
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if want := "train\ta/bad24.jpg\tnot a JPEG, PNG or WebP image but a text file"; len(lines) != listedRejects+5 || lines[len(lines)-1] != want {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
}

// TestPackWarnsOfTheDefaultFolder: classes of no known list below imagenet-100 are told.
func TestPackWarnsOfTheDefaultFolder(t *testing.T) {
	source := folderOf(t, "train/a/1.jpg", "train/b/2.jpg", "val/a/3.jpg", "val/b/4.jpg")
	const warning = "warning: these are no classes of a known list"
	for data, warns := range map[string]bool{defaultData: true, "photos": false} {
		said, _, err := packed(t, t.TempDir(), source, "-data", data)
		if err != nil || strings.Contains(said, warning) != warns {
			t.Errorf("-data %s: %v\n%s", data, err, said)
		}
	}
}
