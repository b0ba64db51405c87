package pack

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"golang.org/x/sys/unix"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// tree is a small data set: file names below the root and their bytes.
type files map[string]string

// imageTree has two classes in both splits, a file that is no image, hidden files, a folder within
// a class and capital endings.
func imageTree() files {
	return files{
		"train/n02/n02_1.JPEG":     "second class, first",
		"train/n02/n02_2.JPEG":     "second class, second",
		"train/n02/deep/n02_3.jpg": "second class, third",
		"train/n01/n01_1.JPEG":     "first class, first",
		"train/n01/n01_2.png":      "first class, second",
		"train/n01/notes.txt":      "not an image",
		"train/n01/.hidden.png":    "hidden",
		"val/n01/v_1.JPEG":         "first class, validation",
		"val/n02/v_2.webp":         "second class, validation",
	}
}

func (all files) write(t *testing.T, root string) {
	t.Helper()
	for name, data := range all {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// tarOf packs the part of the tree below a prefix into a tar file whose names are those after the
// prefix.
func (all files) tarOf(t *testing.T, prefix string) string {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		below, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		if err := w.WriteHeader(&tar.Header{Name: below, Size: int64(len(all[name])), Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(all[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func mustOpen(t *testing.T, path string) Source {
	t.Helper()
	src, err := OpenSource(t.Context(), path, SourceOptions{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src
}

// content is what a source holds, image bytes by "split name class ext file", and rejects by "split
// name".
func content(t *testing.T, src Source) (images map[string]string, classes, rejects []string) {
	t.Helper()
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	})
	listing, err := src.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	images = map[string]string{}
	if src, ok := src.(fetcher); ok {
		places := make([]int, len(listing.Items))
		for i := range places {
			places[i] = i
		}
		if err := src.Fetch(t.Context(), places); err != nil {
			t.Fatal(err)
		}
	}
	for i, item := range listing.Items {
		data, err := src.Read(i, []byte("|"))
		if err != nil {
			t.Fatal(err)
		}
		if item.Ext == "" {
			if item.Ext, err = imageKind("", data[1:]); err != nil {
				rejects = append(rejects, item.Split+" "+item.Name)
				continue
			}
		}
		images[fmt.Sprintf("%s %s %s %s %s", item.Split, item.Name, item.Class, item.Ext, item.File)] = string(data)
	}
	for _, reject := range listing.Rejects {
		rejects = append(rejects, reject.Split+" "+reject.Name)
	}
	slices.Sort(rejects)
	return images, listing.Classes, rejects
}

// treeContent is what any source of imageTree must hold.
var treeContent = map[string]string{
	"train n02/n02_1.JPEG n02 jpeg n02_1.JPEG":   "|second class, first",
	"train n02/n02_2.JPEG n02 jpeg n02_2.JPEG":   "|second class, second",
	"train n02/deep/n02_3.jpg n02 jpg n02_3.jpg": "|second class, third",
	"train n01/n01_1.JPEG n01 jpeg n01_1.JPEG":   "|first class, first",
	"train n01/n01_2.png n01 png n01_2.png":      "|first class, second",
	"val n01/v_1.JPEG n01 jpeg v_1.JPEG":         "|first class, validation",
	"val n02/v_2.webp n02 webp v_2.webp":         "|second class, validation",
}

func TestSourcesOfATree(t *testing.T) {
	given := imageTree()
	classTar := func(split, class string) string { return given.tarOf(t, split+"/"+class+"/") }
	for _, test := range []struct {
		name  string
		write func(root string)
	}{
		{"folder", func(root string) { given.write(t, root) }},
		{"folder beside what it was unpacked from", func(root string) {
			given.write(t, root)
			files{"ILSVRC_train.tar": given.tarOf(t, "train/")}.write(t, root)
		}},
		{"folder of validation", func(root string) {
			given.write(t, root)
			if err := os.Rename(filepath.Join(root, "val"), filepath.Join(root, "validation")); err != nil {
				t.Fatal(err)
			}
		}},
		{"folder of links", func(root string) {
			elsewhere := t.TempDir()
			given.write(t, elsewhere)
			for _, class := range []string{"train/n01", "train/n02", "val/n01", "val/n02"} {
				if err := os.MkdirAll(filepath.Join(root, filepath.Dir(class)), 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(filepath.Join(elsewhere, class), filepath.Join(root, class)); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"tar files of classes", func(root string) {
			files{
				"train/n01.tar": classTar("train", "n01"), "train/n02.tar": classTar("train", "n02"),
				"val/n01.tar": classTar("val", "n01"), "val/n02.tar": classTar("val", "n02"),
			}.write(t, root)
		}},
		{"tar files of tar files", func(root string) {
			inner := files{
				"train/n01.tar": classTar("train", "n01"), "train/n02.tar": classTar("train", "n02"),
				"val/n01.tar": classTar("val", "n01"), "val/n02.tar": classTar("val", "n02"),
			}
			files{"train.tar": inner.tarOf(t, "train/"), "val.tar": inner.tarOf(t, "val/")}.write(t, root)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			test.write(root)
			src, err := OpenSource(t.Context(), root, SourceOptions{TempDir: t.TempDir(), Follow: test.name == "folder of links"})
			if err != nil {
				t.Fatal(err)
			}
			images, classes, rejects := content(t, src)
			if diff := cmp.Diff(treeContent, images); diff != "" {
				t.Error(diff)
			}
			if classes != nil {
				t.Errorf("classes %v, want none of its own", classes)
			}
			want := []string{"train n01/notes.txt"}
			if strings.HasPrefix(test.name, "folder beside") {
				want = []string{"train ILSVRC_train.tar", "train n01/notes.txt", "train n01/notes.txt"}
			}
			if diff := cmp.Diff(want, rejects); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A link to a folder out of the source is an error that says what to do, unless links are to be
// followed; one within it is taken.
func TestLinksOutOfTheSourceAreNotFollowed(t *testing.T) {
	root, elsewhere := t.TempDir(), t.TempDir()
	imageTree().write(t, root)
	files{"secret.png": "of somebody else"}.write(t, elsewhere)
	if err := os.Symlink(filepath.Join(root, "train/n01"), filepath.Join(root, "train/n03")); err != nil {
		t.Fatal(err)
	}
	src, err := OpenSource(t.Context(), root, SourceOptions{})
	if err != nil {
		t.Fatalf("a link within the source: %v", err)
	}
	src.Close()
	if err := os.Symlink(elsewhere, filepath.Join(root, "train/n04")); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSource(t.Context(), root, SourceOptions{}); !errors.Is(err, storage.ErrUnfit) || !strings.Contains(err.Error(), "n04") || !strings.Contains(err.Error(), "-follow") {
		t.Errorf("a link out of it: %v", err)
	}
	src, err = OpenSource(t.Context(), root, SourceOptions{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	src.Close()
}

// A tar file of class folders is read as the folder that it was made of.
func TestTarOfFolders(t *testing.T) {
	given := imageTree()
	given["train/lonely.png"] = "in no class"
	root := t.TempDir()
	files{"ILSVRC_train.tar": given.tarOf(t, "train/")}.write(t, root)
	src, err := OpenSource(t.Context(), filepath.Join(root, "ILSVRC_train.tar"), SourceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	images, _, rejects := content(t, src)
	want := map[string]string{}
	for name, data := range treeContent {
		if strings.HasPrefix(name, "train") {
			want[name] = data
		}
	}
	if diff := cmp.Diff(want, images); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"train lonely.png", "train n01/notes.txt"}, rejects); diff != "" {
		t.Error(diff)
	}
}

// A folder in which no image lies, but two folders do, lies around classes; not so where its name
// is that of a class elsewhere.
func TestAClassOfFoldersIsNoFolderAroundClasses(t *testing.T) {
	root := t.TempDir()
	files{"train.X1/n01/1.jpg": "1", "train.X1/n02/2.jpg": "2", "train.X2/n01/a/3.jpg": "3", "train.X2/n01/b/4.jpg": "4",
		"val/CLS-LOC/n01/5.jpg": "5", "val/CLS-LOC/n02/6.jpg": "6"}.write(t, root)
	images, _, _ := content(t, mustOpen(t, root))
	want := map[string]string{
		"train train.X1/n01/1.jpg n01 jpg 1.jpg": "|1", "train train.X1/n02/2.jpg n02 jpg 2.jpg": "|2",
		"train train.X2/n01/a/3.jpg n01 jpg 3.jpg": "|3", "train train.X2/n01/b/4.jpg n01 jpg 4.jpg": "|4",
		"val n01/5.jpg n01 jpg 5.jpg": "|5", "val n02/6.jpg n02 jpg 6.jpg": "|6",
	}
	if diff := cmp.Diff(want, images); diff != "" {
		t.Error(diff)
	}
}

func TestFolderWithoutSplits(t *testing.T) {
	root := t.TempDir()
	files{"cat/1.jpg": "cat", "dog/1.jpg": "dog", "README.md": "words"}.write(t, root)
	images, _, rejects := content(t, mustOpen(t, root))
	if diff := cmp.Diff(map[string]string{"train cat/1.jpg cat jpg 1.jpg": "|cat", "train dog/1.jpg dog jpg 1.jpg": "|dog"}, images); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{" README.md"}, rejects); diff != "" {
		t.Error(diff)
	}
}

func TestOpenSourceErrors(t *testing.T) {
	root := t.TempDir()
	files{"data.zip": "", "empty/x": "", "broken.tar": strings.Repeat("this is not a tar file", 100)}.write(t, root)
	for _, test := range []struct{ path, want string }{
		{"nowhere", "no such file"},
		{"data.zip", "an empty file"},
		{"empty", "has no image"},
		{"broken.tar", "not a tar file but a text file"},
	} {
		src, err := OpenSource(t.Context(), filepath.Join(root, test.path), SourceOptions{})
		if err == nil {
			_, err = src.List(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.path, err, test.want)
		}
	}
}

// A pipe, which can be read once and from its front alone, is refused before anything waits for it.
func TestAPipeIsNoSource(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "train.tar")
	if err := unix.Mkfifo(pipe, 0o666); err != nil {
		t.Fatal(err)
	}
	keep, err := os.OpenFile(pipe, os.O_RDWR, 0) // without it a reader of the pipe waits for ever
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keep.WriteString(strings.Repeat("x", headLength)); err != nil {
		t.Fatal(err)
	}
	defer keep.Close()
	_, err = OpenSource(t.Context(), pipe, SourceOptions{})
	if !errors.Is(err, storage.ErrUnfit) || !strings.Contains(err.Error(), "neither a file nor a folder") {
		t.Errorf("error %v, want that it is a pipe", err)
	}
}

// A set that is refused for its samples without labels names all of them, not the first alone.
func TestARefusedSetNamesAllItsUnlabelledSamples(t *testing.T) {
	root := t.TempDir()
	files{"train/n01/1.jpg": "one", "val/2.jpg": "two", "val/3.jpg": "three", "val/notes.txt": "no image"}.write(t, root)
	_, rejects, err := Pack(t.Context(), mustOpen(t, root), storagetest.Memory(t), "d", PackOptions{})
	if len(rejects) != 3 || rejects[0].Name != "2.jpg" || rejects[1].Name != "3.jpg" || !errors.Is(err, storage.ErrUnfit) {
		t.Errorf("pack: rejects %v, error %v", rejects, err)
	}
	b := foreignSet(t, map[string]string{"f/set-train-0002.tar": string(foreignTar(t, tar.FormatPAX, member{"a.jpg", "a"}, member{"b.jpg", "b"}))})
	_, rejects, err = Reindex(t.Context(), b, "f", ReindexOptions{})
	if len(rejects) != 2 || rejects[1].Name != "set-train-0002.tar/b" || !errors.Is(err, storage.ErrUnfit) {
		t.Errorf("index: rejects %v, error %v", rejects, err)
	}
}

// testRow is a row as the hub's image data sets have it.
type testRow struct {
	Image struct {
		Bytes []byte `parquet:"bytes"`
		Path  string `parquet:"path,optional"`
	} `parquet:"image"`
	Label int64 `parquet:"label"`
}

func writeParquet(t *testing.T, name string, rows []testRow, options ...parquet.WriterOption) {
	t.Helper()
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := parquet.NewGenericWriter[testRow](file, append(options, parquet.MaxRowsPerRowGroup(7))...)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// parquetRows are n images of which every fifth has no path and the fourth is no image.
func parquetRows(n int) []testRow {
	rows := make([]testRow, n)
	for i := range rows {
		rows[i].Image.Bytes = append([]byte("\xff\xd8\xff image "), fmt.Sprint(i)...)
		if i%5 != 0 {
			rows[i].Image.Path = fmt.Sprintf("folder/%d.JPEG", i)
		}
		rows[i].Label = int64(i % 3)
	}
	rows[4].Image.Bytes = []byte("GIF89a")
	return rows
}

func TestFromParquet(t *testing.T) {
	const hub = `{"info": {"features": {"image": {"_type": "Image"}, "label": {"names": ["zebra", "ant", "cat"], "_type": "ClassLabel"}}}}`
	for _, test := range []struct {
		name    string
		options []parquet.WriterOption
		classes []string
	}{
		{"names in the metadata", []parquet.WriterOption{parquet.KeyValueMetadata("huggingface", hub), parquet.Compression(&parquet.Snappy)}, []string{"zebra", "ant", "cat"}},
		{"numbers alone", []parquet.WriterOption{parquet.Compression(&parquet.Zstd)}, []string{"0", "1", "2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			root, temp := t.TempDir(), t.TempDir()
			rows := parquetRows(23)
			writeParquet(t, filepath.Join(root, "train-00000-of-00002.parquet"), rows[:15], test.options...)
			writeParquet(t, filepath.Join(root, "train-00001-of-00002.parquet"), rows[15:], test.options...)
			writeParquet(t, filepath.Join(root, "validation-00000-of-00001.parquet"), rows[:5], test.options...)
			src, err := OpenSource(t.Context(), root, SourceOptions{TempDir: temp})
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{}
			for i, row := range rows {
				split, place := "train train-00000-of-00002", i
				if i >= 15 {
					split, place = "train train-00001-of-00002", i-15
				}
				file := ""
				if row.Image.Path != "" {
					file = filepath.Base(row.Image.Path)
				}
				if i == 4 {
					continue
				}
				rest := fmt.Sprintf("%s jpg %s", test.classes[i%3], file)
				want[fmt.Sprintf("%s.parquet/%d %s", split, place, rest)] = "|" + string(row.Image.Bytes)
				if i < 5 {
					want[fmt.Sprintf("val validation-00000-of-00001.parquet/%d %s", place, rest)] = "|" + string(row.Image.Bytes)
				}
			}
			images, classes, rejects := content(t, src)
			if diff := cmp.Diff(want, images); diff != "" {
				t.Error(diff)
			}
			if (classes == nil) != (test.classes[0] == "0") || classes != nil && !slices.Equal(classes, test.classes) {
				t.Errorf("classes %v", classes)
			}
			if diff := cmp.Diff([]string{"train train-00000-of-00002.parquet/4", "val validation-00000-of-00001.parquet/4"}, rejects); diff != "" {
				t.Error(diff)
			}
			if left := storagetest.FileNames(t, temp); len(left) != 0 {
				t.Errorf("the temporary folder holds %v", left)
			}
		})
	}
}

// Numbers of a file that does not name its classes cannot be read by the names of another file;
// where no labels are taken it does not matter.
func TestParquetFilesNameTheirClassesAlike(t *testing.T) {
	root := t.TempDir()
	named := parquet.KeyValueMetadata("huggingface", `{"info": {"features": {"label": {"names": ["zebra", "ant", "cat"]}}}}`)
	writeParquet(t, filepath.Join(root, "train-a.parquet"), parquetRows(9), named)
	writeParquet(t, filepath.Join(root, "train-b.parquet"), parquetRows(9))
	writeParquet(t, filepath.Join(root, "val.parquet"), parquetRows(9), named)
	for _, unlabelled := range []bool{false, true} {
		src, err := OpenSource(t.Context(), root, SourceOptions{TempDir: t.TempDir(), Unlabelled: unlabelled})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		_, _, err = Pack(t.Context(), src, storagetest.Memory(t), "d", PackOptions{TempDir: t.TempDir(), Labels: Labels{Unlabelled: unlabelled, Splits: []string{"train"}}})
		if errors.Is(err, storage.ErrUnfit) == unlabelled || !unlabelled && !strings.Contains(err.Error(), "train-b.parquet") {
			t.Errorf("unlabelled %v: error %v", unlabelled, err)
		}
	}
}

// Files of another writer, Arrow's own in Rust (parquet-wasm 0.8.0), with dictionary pages, row
// groups of 16 and nulls.
func TestFromParquetOfArrow(t *testing.T) {
	images, classes, rejects := content(t, mustOpen(t, "testdata"))
	if diff := cmp.Diff([]string{"zebra", "ant", "cat"}, classes); diff != "" {
		t.Error(diff)
	}
	want := map[string]string{}
	for i := range 40 {
		file := ""
		if i%4 != 0 {
			file = fmt.Sprintf("n%d_%d.JPEG", i%3, i)
		}
		for _, name := range []string{"train train-snappy", "val validation-zstd"} {
			want[fmt.Sprintf("%s.parquet/%d %s jpg %s", name, i, classes[i%3], file)] = fmt.Sprintf("|\xff\xd8\xff image %d", i)
		}
	}
	if diff := cmp.Diff(want, images); diff != "" {
		t.Error(diff)
	}
	if rejects != nil {
		t.Errorf("rejects %v", rejects)
	}
}

func TestFromParquetErrors(t *testing.T) {
	root := t.TempDir()
	writeParquet(t, filepath.Join(root, "train.parquet"), parquetRows(9))
	whole, err := os.ReadFile(filepath.Join(root, "train.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	spoiled := bytes.Clone(whole)
	for i := 10; i < 200; i++ {
		spoiled[i] ^= 0x55
	}
	var other bytes.Buffer
	w := parquet.NewGenericWriter[struct{ Text string }](&other)
	if _, err := w.Write([]struct{ Text string }{{"words"}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	files{
		"cut/train.parquet": string(whole[:len(whole)/2]), "damaged/train.parquet": string(spoiled),
		"words/train.parquet": other.String(), "named/data.parquet": string(whole),
	}.write(t, root)
	for _, test := range []struct{ folder, want string }{
		{"cut", "it was cut"}, {"damaged", "train.parquet"}, {"words", "no column has images"},
	} {
		src, err := OpenSource(t.Context(), filepath.Join(root, test.folder), SourceOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = src.List(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.folder, err, test.want)
		}
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The same images come out as the same bytes, whichever way they lay.
func TestPackTree(t *testing.T) {
	root := t.TempDir()
	imageTree().write(t, root)
	folder, tars := storagetest.Memory(t), storagetest.Memory(t)
	ix, rejects := mustPack(t, mustOpen(t, root), folder, "d", PackOptions{})
	if len(rejects) != 1 || !strings.Contains(rejects[0].String(), "train/n01/notes.txt") {
		t.Errorf("rejects %v", rejects)
	}
	if diff := cmp.Diff([]string{"n01", "n02"}, ix.Classes); diff != "" {
		t.Error(diff)
	}
	packedTars := t.TempDir()
	given := imageTree()
	files{
		"train/n01.tar": given.tarOf(t, "train/n01/"), "train/n02.tar": given.tarOf(t, "train/n02/"),
		"val/n01.tar": given.tarOf(t, "val/n01/"), "val/n02.tar": given.tarOf(t, "val/n02/"),
	}.write(t, packedTars)
	src := mustOpen(t, packedTars)
	defer src.Close()
	mustPack(t, src, tars, "d", PackOptions{})
	stored := storagetest.Snapshot(t, folder)
	if diff := cmp.Diff(stored, storagetest.Snapshot(t, tars)); diff != "" {
		t.Error(diff)
	}
	// The original name and class stand beside each image.
	if shard := stored["d/train-000000.tar"]; !strings.Contains(shard, `{"class":"n02","file":"n02_2.JPEG"}`) || !strings.Contains(shard, "second class, second") {
		t.Error("the shard lacks a sample's description")
	}
}

// Of a parquet file only the images of the listed classes are copied.
func TestClassesArePickedBeforeImagesAreCopied(t *testing.T) {
	root := t.TempDir()
	rows := parquetRows(20)
	for _, name := range []string{"train.parquet", "val.parquet"} {
		writeParquet(t, filepath.Join(root, name), rows)
	}
	src := mustOpen(t, root).(*parquetSource)
	ix, _ := mustPack(t, src, storagetest.Memory(t), "d", PackOptions{Labels: Labels{Classes: []string{"2", "0"}}})
	want := int64(0)
	for i, row := range rows {
		if i%3 != 1 {
			want += 2 * int64(len(row.Image.Bytes))
		}
	}
	if info, err := src.files[0].Stat(); err != nil || info.Size() != want {
		t.Errorf("%d bytes were copied, want %d (%v)", info.Size(), want, err)
	}
	if !slices.Equal(ix.Classes, []string{"2", "0"}) || ix.Counts["train"] != 13 {
		t.Errorf("classes %v, counts %v", ix.Classes, ix.Counts)
	}
}
