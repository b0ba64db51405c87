package pack

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/storage/storagetest"
)

// dice turns the bytes of a fuzzer into decisions.
type dice []byte

func (d *dice) roll(n int) int {
	if len(*d) == 0 {
		return 0
	}
	b := (*d)[0]
	*d = (*d)[1:]
	return int(b) % n
}

func pick[T any](d *dice, of ...T) T { return of[d.roll(len(of))] }

// meant is what the owner of an image means, and the folder or archive of a split that it lies in.
type meant struct{ split, class, unit string }

// randomTree makes a source of the layouts that people have, and says what each image, called by
// its number, is meant to be. Images whose split or class nobody could tell are left to the count.
func randomTree(d *dice) (all files, images map[string]meant) {
	all, images = files{}, map[string]meant{}
	id := 0
	put := func(into files, name string, m meant) {
		image := fmt.Sprintf("\xff\xd8\xff %d", id)
		file := fmt.Sprintf("%d%s", id, pick(d, ".jpg", ".JPEG", ".jpeg", ""))
		id++
		images[file] = m
		into[path.Join(name, file)] = image
	}
	above := pick(d, "", "", "", "ILSVRC/Data/CLS-LOC", "data")
	units := []string{pick(d, "train", "Training", "train.X1", "my_train", "x"), pick(d, "val", "validation", "valid", "VAL2012", "train.X2", "y")}
	for range d.roll(3) {
		units = append(units, pick(d, "test", "val", "train.X2", "train.X3", "extra", "holdout", "valid"))
	}
	for _, unit := range units {
		split := map[byte]string{'t': "train", 'T': "train", 'm': "train", 'v': "val", 'V': "val"}[unit[0]]
		if unit == "test" {
			split = "test"
		}
		unitPacked, unitFiles := d.roll(4) == 0, files{}
		wrapper := pick(d, "", "", "", "images", unit)
		for range 1 + d.roll(3) {
			class := pick(d, "n01", "n02", "cat", "test", "train", "0", "images")
			classFiles, classPacked := files{}, d.roll(4) == 0
			for range 1 + d.roll(3) {
				below := pick(d, "", "", "", "deep", "images")
				if d.roll(12) == 0 {
					unitFiles[path.Join(wrapper, class, "."+fmt.Sprint(id)+".jpg")] = "\xff\xd8\xff hidden"
					continue
				}
				put(classFiles, below, meant{split, class, unit})
			}
			if classPacked {
				unitFiles[path.Join(wrapper, class+".tar")] = packTar(classFiles)
				continue
			}
			for name, data := range classFiles {
				unitFiles[path.Join(wrapper, class, name)] = data
			}
		}
		if unitPacked {
			all[path.Join(above, unit+".tar")] = packTar(unitFiles)
			continue
		}
		for name, data := range unitFiles {
			all[path.Join(above, unit, name)] = data
		}
	}
	return all, images
}

func packTar(of files) string {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range sortedKeys(of) {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(of[name])), Mode: 0o600}); err != nil {
			panic(err)
		}
		if _, err := w.Write([]byte(of[name])); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.String()
}

// countImages counts the images of a tree, those in tar files too, without any of the code under
// test. A tar file that holds no image counts as nothing.
func countImages(of files) int {
	n := 0
	for name, data := range of {
		switch {
		case strings.HasPrefix(path.Base(name), "."):
		case strings.HasPrefix(data, "\xff\xd8\xff"):
			n++
		case strings.HasSuffix(name, ".tar"):
			inner := files{}
			for reader := tar.NewReader(strings.NewReader(data)); ; {
				header, err := reader.Next()
				if err != nil {
					break
				}
				content, _ := io.ReadAll(reader)
				inner[header.Name] = string(content)
			}
			n += countImages(inner)
		}
	}
	return n
}

// FuzzSourceTree holds the first law of the door against trees of many layouts: after a packing
// every image is in the split and class that its owner means, once, or is counted among what was
// left out.
func FuzzSourceTree(f *testing.F) {
	for _, seed := range []string{"", "\x00\x00\x00\x00\x00", "\x03\x01\x02\x01\x04\x03\x02\x01\x07\x05\x01\x02\x03\x04\x05", strings.Repeat("\x01\x04\x02\x00\x03", 30)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := dice(data)
		all, images := randomTree(&d)
		root := t.TempDir()
		all.write(t, root)
		src, err := OpenSource(t.Context(), root, SourceOptions{TempDir: root})
		if err != nil {
			return // refused
		}
		defer src.Close()
		b := storagetest.Memory(t)
		ix, rejects, err := Pack(t.Context(), src, b, "d", PackOptions{TempDir: t.TempDir(), Labels: Labels{Splits: []string{"train", "val"}}})
		if err != nil {
			return
		}
		packed, left := 0, 0
		for _, r := range rejects {
			if left += r.Count(); strings.Contains(r.Err.Error(), "it lies beside") {
				left += len(images) // an archive that is not opened
			}
		}
		classes := map[string]map[string]bool{} // by unit; a single one cannot be told from a folder around classes
		for _, m := range images {
			if classes[m.unit] == nil {
				classes[m.unit] = map[string]bool{}
			}
			classes[m.unit][m.class] = true
		}
		seen := map[string]bool{}
		for split, written := range ix.Splits {
			for i := range written {
				shard := storagetest.Snapshot(t, b)["d/"+written[i].Name]
				for file, class := range classesInShard(t, shard) {
					packed++
					want, ok := images[file]
					if !ok || seen[file] || want.split != split && want.split != "" || class != want.class && want.class != "images" && len(classes[want.unit]) > 1 &&
						!(class == "deep" && want.class == "train") { // the folder train alone, in the split train, names it again
						t.Fatalf("%s is in split %s with class %s, and is meant to be %+v (again: %v)\n%v", file, split, class, want, seen[file], sortedKeys(all))
					}
					seen[file] = true
				}
			}
		}
		if total := countImages(all); packed+left < total {
			t.Fatalf("%d packed and %d left out of %d images\n%v\n%v", packed, left, total, sortedKeys(all), rejects)
		}
	})
}

// classesInShard gives the classes of a shard's samples by the files that they come from.
func classesInShard(t *testing.T, shard string) map[string]string {
	t.Helper()
	classes := map[string]string{}
	for reader := tar.NewReader(strings.NewReader(shard)); ; {
		header, err := reader.Next()
		if err == io.EOF {
			return classes
		}
		if err != nil {
			t.Fatal(err)
		}
		var of struct{ Class, File string }
		if strings.HasSuffix(header.Name, ".json") {
			if err := json.NewDecoder(reader).Decode(&of); err != nil {
				t.Fatal(err)
			}
			if classes[of.File] != "" {
				t.Fatalf("%s comes twice", of.File)
			}
			classes[of.File] = of.Class
		}
	}
}
