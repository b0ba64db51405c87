package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/shards"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// picture is an image that no other name gives, in the format that the name's ending says.
func picture(name string) []byte {
	h := fnv.New32a()
	h.Write([]byte(name))
	n := h.Sum32()
	m := image.NewRGBA(image.Rect(0, 0, 16, 16))
	for i := range 256 {
		m.SetRGBA(i%16, i/16, color.RGBA{byte(n >> (i % 24)), byte(n>>8) + byte(i), byte(n >> 16), 255})
	}
	var out bytes.Buffer
	if path.Ext(name) == ".png" {
		_ = png.Encode(&out, m) // cannot fail in memory
	} else {
		_ = jpeg.Encode(&out, m, nil)
	}
	return out.Bytes()
}

// made are files of a source by their names.
type made map[string][]byte

// files makes files of "name", an image that is like no other, "name=other", the image of another
// name, and "name:text". Names are parted by blanks; a text has _ for a blank and ~
// for the end of a line.
func files(list string) made {
	all := made{}
	for _, entry := range strings.Fields(list) {
		name, text, isText := strings.Cut(entry, ":")
		other, of, same := strings.Cut(entry, "=")
		switch {
		case isText:
			all[name] = []byte(strings.NewReplacer("_", " ", "~", "\n").Replace(text))
		case same:
			all[other] = picture(of)
		default:
			all[entry] = picture(entry)
		}
	}
	return all
}

// and joins files.
func (m made) and(others ...made) made {
	for _, other := range others {
		maps.Copy(m, other)
	}
	return m
}

// tarred is a tar file of the listed files, in this order.
func tarred(name, list string) made {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, entry := range strings.Fields(list) {
		for member, data := range files(entry) {
			if err := w.WriteHeader(&tar.Header{Name: member, Size: int64(len(data)), Mode: 0o600}); err != nil {
				panic(err)
			}
			if _, err := w.Write(data); err != nil {
				panic(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return made{name: out.Bytes()}
}

// holding is a tar file of other made files.
func holding(name string, inner made) made {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, member := range slices.Sorted(maps.Keys(inner)) {
		if err := w.WriteHeader(&tar.Header{Name: member, Size: int64(len(inner[member])), Mode: 0o600}); err != nil {
			panic(err)
		}
		if _, err := w.Write(inner[member]); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return made{name: out.Bytes()}
}

// zipped compresses the only file, under another name.
func zipped(name string, m made) made {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	for _, data := range m {
		if _, err := w.Write(data); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return made{name: out.Bytes()}
}

// cut keeps the first part of every file.
func (m made) cut(keep float64) made {
	for name, data := range m {
		m[name] = data[:int(float64(len(data))*keep)]
	}
	return m
}

type hubImage struct {
	Bytes []byte `parquet:"bytes"`
	Path  string `parquet:"path,optional"`
}

// table is a parquet file of a row for each label, with images of their own.
func table[R any](name string, row func(i int, image hubImage) R, n int, options ...parquet.WriterOption) made {
	var out bytes.Buffer
	w := parquet.NewGenericWriter[R](&out, options...)
	for i := range n {
		file := fmt.Sprintf("%s-%d.jpg", strings.ReplaceAll(path.Base(name), ".parquet", ""), i)
		if _, err := w.Write([]R{row(i, hubImage{picture(name + file), file})}); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return made{name: out.Bytes()}
}

// hub is a parquet file as the hub has them.
func hub(name string, labels ...int64) made {
	type row struct {
		Image hubImage `parquet:"image"`
		Label int64    `parquet:"label"`
	}
	return table(name, func(i int, image hubImage) row { return row{image, labels[i]} }, len(labels))
}

// idx is a pair of IDX files of tiny images.
func idx(images, labels string, classes ...byte) made {
	pixels := binary.BigEndian.AppendUint32(nil, 0x803)
	for _, d := range []int{len(classes), 4, 4} {
		pixels = binary.BigEndian.AppendUint32(pixels, uint32(d))
	}
	for i := range classes {
		for j := range 16 {
			pixels = append(pixels, byte(len(images)*i+j))
		}
	}
	numbers := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 0x801), uint32(len(classes)))
	return made{images: pixels, labels: append(numbers, classes...)}
}

// write puts the files below a folder. A name that ends with @ is a link to what the text says, one
// that ends with | a pipe.
func (m made) write(t *testing.T, root string) {
	t.Helper()
	for name, data := range m {
		place := filepath.Join(root, filepath.FromSlash(strings.TrimRight(name, "@|")))
		err := os.MkdirAll(filepath.Dir(place), 0o777)
		switch {
		case err != nil:
		case strings.HasSuffix(name, "@"):
			err = os.Symlink(string(data), place)
		case strings.HasSuffix(name, "|"):
			err = syscall.Mkfifo(place, 0o666)
		default:
			err = os.WriteFile(place, data, 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// packedSamples reads a data set back: "split: sample=class ..." with the samples sorted, called by
// the file that they come from, or by their key.
func packedSamples(t *testing.T, bucket string) string {
	t.Helper()
	data, err := shards.OpenDataset(t.Context(), storagetest.Open(t, "file://"+bucket, storage.Options{}), "d")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, split := range slices.Sorted(maps.Keys(data.Index.Splits)) {
		var samples []string
		for _, shard := range data.Index.Splits[split] {
			text, err := os.ReadFile(filepath.Join(bucket, "d", shard.Name))
			if err != nil {
				t.Fatal(err)
			}
			names := map[string]string{}
			for reader := tar.NewReader(bytes.NewReader(text)); ; {
				header, err := reader.Next()
				if err != nil {
					break
				}
				var of struct{ File string }
				if key, json_ := strings.CutSuffix(header.Name, ".json"); json_ && json.NewDecoder(reader).Decode(&of) == nil {
					names[key] = of.File
				}
			}
			for i, key := range shard.Samples.Keys {
				name := key
				if names[key] != "" {
					name = names[key]
				}
				if label := shard.Samples.Labels[i]; label != shards.NoLabel {
					name += "=" + data.Index.Classes[label]
				}
				samples = append(samples, name)
			}
		}
		slices.Sort(samples)
		lines = append(lines, split+": "+strings.Join(samples, " "))
	}
	return strings.Join(lines, "; ")
}

// wds are the usual shards.
func wds() made {
	return tarred("train-0.tar", "1.jpg 1.cls:0 2.jpg 2.cls:1").and(tarred("val-0.tar", "3.jpg 3.cls:0 4.jpg 4.cls:1"))
}

const folders = "train/a/1.jpg train/b/2.jpg val/a/3.jpg val/b/4.jpg "

// good is what comes of folders.
const good = "train: 1.jpg=a 2.jpg=b; val: 3.jpg=a 4.jpg=b"

// goodHub is what comes of two parquet files with the labels 0 and 1.
const goodHub = "train: train-0.jpg=0 train-1.jpg=1; val: val-0.jpg=0 val-1.jpg=1"

// goodWDS is what comes of wds.
const goodWDS = "train: 1=0 2=1; val: 3=0 4=1"

// TestWhatPackMakesOfEveryKindOfSource: right or refused. want is what must be packed, or the exit
// code and words of the error; warns are words of what is printed.
func TestWhatPackMakesOfEveryKindOfSource(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		files made
		flags string // SRC stands for the source's folder
		want  string
		warns string
	}{
		// folders
		{"folders", files(folders), "", good, ""},
		{"links out of the source", files(folders + "train/c@:../../else/c").and(files("../else/c/5.jpg")), "", "64 -follow takes it", ""},
		{"links out of the source, followed", files(folders + "train/c@:../../else/c train/a/l.jpg@:../b/2.jpg val/c/6.jpg").and(files("../else/c/5.jpg")), "-follow", "train: 1.jpg=a 2.jpg=b 5.jpg=c l.jpg=a; val: 3.jpg=a 4.jpg=b 6.jpg=c", "come twice"},
		{"a link to nothing", files(folders + "train/a/x.jpg@:nowhere"), "", good, "x.jpg: a link to what is not there"},
		{"a link in a circle", files(folders + "train/a/x@:.."), "", good, "train/a/x: a link to a folder within a class"},
		{"a pipe", files(folders + "train/a/x.jpg|:"), "", good, "x.jpg: neither a file nor a folder"},
		{"a folder called as an image", files(folders + "train/a/x.jpg/9.jpg"), "", "train: 1.jpg=a 2.jpg=b 9.jpg=a; val: 3.jpg=a 4.jpg=b", ""},
		{"hidden", files(folders + "train/.c/8.jpg train/a/._1.jpg __MACOSX/train/a/1.jpg"), "", good, "0 images left out"},
		{"other files", files(folders + "train/a/notes.txt:words train/list.json:{}"), "", good, "2 images left out"},
		{"upper case", files("TRAIN/a/1.JPG TRAIN/b/2.jpg Validation/a/3.jpg Validation/b/4.jpg"), "", "train: 1.JPG=a 2.jpg=b; val: 3.jpg=a 4.jpg=b", ""},
		{"first bytes", files("train/a/x=1.png train/b/y.img=2.jpg train/b/z.jpg:GIF89a val/a/3.jpg val/b/4.jpg"), "", "train: x=a y.img=b; val: 3.jpg=a 4.jpg=b", "z.jpg: not a JPEG, PNG or WebP image but a GIF file"},
		{"a pointer", files(folders + "train/b/z.jpg:version_https://git-lfs.github.com/spec/v1"), "", good, "git lfs pull"},
		{"parts of a split", files("train.X1/a/1.jpg train.X2/b/2.jpg val.X/a/3.jpg val.X/b/4.jpg Labels.json:{}"), "", good, ""},
		{"the same name in two parts", files("train.X1/a/1.jpg train.X2/a/1.jpg train.X2/b/2.jpg val.X/a/3.jpg"), "", "train: 1.jpg=a 1.jpg=a 2.jpg=b; val: 3.jpg=a", ""},
		{"below other folders", files("ILSVRC/Data/CLS-LOC/train/a/1.jpg ILSVRC/Data/CLS-LOC/train/b/2.jpg ILSVRC/Data/CLS-LOC/val/a/3.jpg ILSVRC/Data/CLS-LOC/val/b/4.jpg ILSVRC/Annotations/CLS-LOC/train/a/1.xml:x"), "", good, ""},
		{"a wrapper", files("seg_train/seg_train/a/1.jpg seg_train/seg_train/b/2.jpg val/a/3.jpg val/b/4.jpg"), "", good, ""},
		{"digits behind", files("train2012/a/1.jpg train2012/b/2.jpg val2012/a/3.jpg val2012/b/4.jpg"), "", good, ""},
		{"two for val", files(folders + "valid/a/5.jpg"), "", "64 both val and valid are split val", ""},
		{"two for val, one chosen", files(folders + "valid/a/5.jpg"), "-val val", good, "another split"},
		{"two for train", files(folders + "train_small/a/5.jpg"), "", "64 both train and train_small are split train", ""},
		{"two years", files("train2012/a/1.jpg train2017/a/1.jpg val2012/a/3.jpg"), "", "64 split train", ""},
		{"folds", files("fold1/train/a/1.jpg fold1/val/a/2.jpg fold2/train/a/2.jpg fold2/val/a/1.jpg"), "", "64 by their names", ""},
		{"test for val", files("train/a/1.jpg train/b/2.jpg test/a/3.jpg test/b/4.jpg"), "", "64 -val test takes it as val", ""},
		{"test taken as val", files("train/a/1.jpg train/b/2.jpg test/a/3.jpg test/b/4.jpg"), "-val test", good, ""},
		{"test beside val", files(folders + "test/a/9.jpg holdout/a/8.jpg"), "", good, "left out: test, 1 images: another split"},
		{"test that has a class called so", files(folders + "train/test/5.jpg"), "-val val", "train: 1.jpg=a 2.jpg=b 5.jpg=test; val: 3.jpg=a 4.jpg=b", ""},
		{"no word", files("x/a/1.jpg x/b/2.jpg y/a/3.jpg y/b/4.jpg"), "-val y", good, ""},
		{"a folder without a word", files(folders + "extra/a/9.jpg"), "", good, "no word of its path names a split"},
		{"no split", files("a/1.jpg b/2.jpg"), "", "64 split val has no image; split train has 2", ""},
		{"no val", files("train/a/1.jpg train/b/2.jpg"), "", "64 -val-share 0.1 holds a part of train out", ""},
		{"flat", files("1.jpg 2.jpg"), "", "64 lies in no class folder", ""},
		{"classes of val", files("train/a/1.jpg val/A/3.jpg"), "", `64 "A", beside train's a`, ""},
		{"no Latin-1", files("train/caf\xe9/1.jpg val/caf\xe9/3.jpg"), "", "64 not UTF-8", ""},
		{"the same image in both", files("train/a/1.jpg train/b/2.jpg val/a/3.jpg=train/a/1.jpg val/b/4.jpg"), "", good, "1 images of split val are also in split train"},
		{"a stray image", files(folders + "train/9.jpg"), "", good, "9.jpg: it lies in no class folder"},
		{"zip", files("train.zip:PK\x03\x04 val.zip:PK\x03\x04"), "", "64 unpack it", ""},
		{"a class that is zipped", files(folders + "train/c.zip:PK\x03\x04"), "", "64 train/c.zip is a zip archive", ""},
		{"arrow", files("train/data.arrow:ARROW1 val/data.arrow:ARROW1"), "", "64 export it to parquet", ""},
		// labels of val in a file
		{"flat val", files("train/a/1.jpg train/b/2.jpg val/3.jpg val/4.jpg"), "", "64 -val-labels FILE", ""},
		{"flat val with a table", files("train/a/1.jpg train/b/2.jpg val/3.jpg val/4.jpg l.csv:ImageId,PredictionString~3,a_1_2_3~4,b_1_2_3~"), "-val-labels SRC/l.csv", good, ""},
		{"flat val with the table in place", files("train/a/1.jpg train/b/2.jpg val/3.jpg val/4.jpg LOC_val_solution.csv:ImageId,PredictionString~3,a_1~4,b_1~"), "", good, ""},
		{"flat val, one not in the table", files("train/a/1.jpg train/b/2.jpg val/3.jpg val/4.jpg l.csv:3,a~"), "-val-labels SRC/l.csv", "64 does not name it", ""},
		{"flat val with a script", files("train/a/1.jpg train/b/2.jpg val/3.jpg val/4.jpg l.sh:mv_3.jpg_a/~mv_4.jpg_b/~"), "-val-labels SRC/l.sh", good, ""},
		{"Tiny-ImageNet", files("train/a/images/1.jpg train/a/a_boxes.txt:x train/b/images/2.jpg val/images/3.jpg val/images/4.jpg val/val_annotations.txt:3.jpg_a_0~4.jpg_b_0~"), "", good, ""},
		{"Tiny-ImageNet without its table", files("train/a/images/1.jpg val/images/3.jpg"), "", "64 -val-labels FILE", ""},
		// tar files
		{"tar files of splits", tarred("train.tar", "a/1.jpg b/2.jpg").and(tarred("val.tar", "a/3.jpg b/4.jpg")), "", good, ""},
		{"compressed tar files", zipped("train.tgz", tarred("x", "a/1.jpg b/2.jpg")).and(zipped("val.tar.gz", tarred("x", "a/3.jpg b/4.jpg"))), "", good, ""},
		{"compressed without saying so", zipped("train.tar", tarred("x", "a/1.jpg b/2.jpg")).and(tarred("val.tar", "a/3.jpg b/4.jpg")), "", good, ""},
		{"tar files of classes", tarred("train/a.tar", "1.jpg").and(tarred("train/b.tar", "b/2.jpg"), tarred("val/a.tar", "3.jpg"), tarred("val/b.tar", "4.jpg"), files("train/._a.tar:x")), "", good, ""},
		{"classes compressed in part", tarred("train/a.tar", "1.jpg").and(zipped("train/b.tar.gz", tarred("x", "2.jpg")), files("val/a/3.jpg val/b/4.jpg")), "", good, ""},
		{"ILSVRC as it comes", holding("ILSVRC2012_img_train.tar", tarred("a.tar", "1.jpg").and(tarred("b.tar", "2.jpg"))).and(tarred("ILSVRC2012_img_val.tar", "3.jpg 4.jpg"), tarred("ILSVRC2012_img_test_v10102019.tar", "test/9.jpg"), files("l.txt:3.jpg_a~4.jpg_b~")), "-val-labels SRC/l.txt", good, "another split"},
		{"ILSVRC half unpacked", tarred("train/a.tar", "1.jpg").and(tarred("train/b.tar", "2.jpg"), tarred("val/ILSVRC2012_img_val.tar", "3.jpg 4.jpg")), "", "64 -val-labels FILE", ""},
		{"one tar file of both", tarred("set.tar", "set/train/a/1.jpg set/train/b/2.jpg set/val/a/3.jpg set/val/b/4.jpg"), "", good, ""},
		{"a wrapper in a tar file", tarred("train.tar", "data/imagenet/a/1.jpg data/imagenet/b/2.jpg").and(tarred("val.tar", "val/a/3.jpg val/b/4.jpg")), "", good, ""},
		{"what it was unpacked from", files(folders).and(tarred("train.tar", "a/1.jpg"), tarred("ILSVRC_val.tar", "a/3.jpg")), "", good, "2 images left out"},
		{"a cut tar file", files("val/a/3.jpg").and(tarred("train.tar", "a/1.jpg b/2.jpg").cut(0.3)), "", "65 ", ""},
		{"no tar file", files("val/a/3.jpg train.tar:<html>"), "", "65 a web page", ""},
		{"a member twice", tarred("train.tar", "a/1.jpg b/2.jpg a/1.jpg=other.jpg").and(tarred("val.tar", "a/3.jpg")), "", "64 the member a/1.jpg comes twice", ""},
		{"two joined", made{"train.tar": slices.Concat(tarred("x", "a/1.jpg")["x"], tarred("x", "b/2.jpg")["x"])}.and(tarred("val.tar", "a/3.jpg")), "", "64 something follows its end", ""},
		{"shards without labels", tarred("train/000000.tar", "1.jpg").and(tarred("train/000001.tar", "2.jpg"), tarred("val/000000.tar", "3.jpg")), "", "64 looks like a shard", ""},
		// WebDataset
		{"WebDataset", wds(), "", "train: 1.jpg=0 2.jpg=1; val: 3.jpg=0 4.jpg=1", ""},
		{"WebDataset in folders", tarred("train/000.tar", "1.jpg 1.cls:0 2.jpg 2.cls:1").and(tarred("val/000.tar", "3.jpg 3.cls:0 4.jpg 4.cls:1")), "", "train: 1.jpg=0 2.jpg=1; val: 3.jpg=0 4.jpg=1", ""},
		{"compressed WebDataset", zipped("train-0.tar.gz", tarred("x", "1.jpg 1.cls:0")).and(tarred("val-0.tar", "3.jpg 3.cls:0")), "", "train: 1.jpg=0; val: 3.jpg=0", ""},
		{"WebDataset with names", wds(), "-names imagenet-1k -classes imagenet-100", "64 is listed, but the source has no image of it", ""},
		{"WebDataset by timm's list", tarred("x-0.tar", "1.jpg 1.cls:0").and(tarred("y-0.tar", "3.jpg 3.cls:0"), files(`info.json:{"splits":{"train":{"filenames":["x-0.tar"]},"validation":{"filenames":["y-0.tar"]}}}`)), "", "train: 1.jpg=0; val: 3.jpg=0", ""},
		{"a shard twice", wds().and(made{"train-0_(1).tar": wds()["train-0.tar"]}), "", "64 have the same bytes", ""},
		// parquet
		{"parquet", hub("data/train.parquet", 0, 1).and(hub("data/val.parquet", 0, 1)), "", goodHub, ""},
		{"parquet by folders", hub("default/train/0000.parquet", 0, 1).and(hub("default/validation/0001.parquet", 0, 1)), "", "train: 0000-0.jpg=0 0000-1.jpg=1; val: 0001-0.jpg=0 0001-1.jpg=1", ""},
		{"parquet with test", hub("train.parquet", 0, 1).and(hub("val.parquet", 0, 1), hub("test.parquet", -1, -1)), "", goodHub, "left out: test.parquet, 2 images"},
		{"parquet without val", hub("train.parquet", 0, 1).and(hub("test.parquet", 0, 1)), "", "64 -val PATTERN takes it as val", ""},
		{"parquet, test for val", hub("train.parquet", 0, 1).and(hub("test.parquet", 0, 1)), "-val test.parquet", "train: train-0.jpg=0 train-1.jpg=1; val: test-0.jpg=0 test-1.jpg=1", ""},
		{"parquet with a hidden label", hub("train.parquet", 0, 1, -1).and(hub("val.parquet", 0, 1)), "", goodHub, "its label is negative"},
		{"parquet of two", hub("train-00000-of-00002.parquet", 0).and(hub("val.parquet", 0)), "", "64 train-00001-of-00002 is not there", ""},
		{"cut parquet", hub("train.parquet", 0, 1).cut(0.5).and(hub("val.parquet", 0)), "", "65 download it again", ""},
		{"a pointer for parquet", hub("val.parquet", 0).and(files("train.parquet:version_https://git-lfs.github.com/spec/v1")), "", "65 git lfs pull", ""},
		{"parquet of two sets", hub("a/train.parquet", 0).and(hub("b/train.parquet", 0), hub("a/val.parquet", 0)), "", "64 split train", ""},
		// IDX
		{"IDX", idx("train-images-idx3-ubyte", "train-labels-idx1-ubyte", 0, 1).and(idx("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", 1, 0)), "", "train: 00000000=0 00000001=1; val: 00000000=1 00000001=0", ""},
		{"IDX with dots, deeper", idx("raw/train-images.idx3-ubyte", "raw/train-labels.idx1-ubyte", 0, 1).and(idx("raw/t10k-images.idx3-ubyte", "raw/t10k-labels.idx1-ubyte", 1, 0)), "", "train: 00000000=0 00000001=1; val: 00000000=1 00000001=0", ""},
		{"IDX without labels", idx("train-images-idx3-ubyte", "x", 0, 1), "", "64 train-labels-idx1-ubyte", ""},
		// val held out of train
		{"held out of classes", files("a/1.jpg a/2.jpg b/3.jpg b/4.jpg b/5.jpg"), "-val-share 0.4", "train: 1.jpg=a 3.jpg=b 4.jpg=b; val: 2.jpg=a 5.jpg=b", "val is held out of train: 0.4 of each class"},
		{"held out with another seed", files("a/1.jpg a/2.jpg b/3.jpg b/4.jpg b/5.jpg"), "-val-share 0.4 -val-seed 3", "train: 2.jpg=a 4.jpg=b 5.jpg=b; val: 1.jpg=a 3.jpg=b", "seed 3"},
		{"held out of train beside val", files(folders + "train/a/5.jpg train/b/6.jpg"), "-val-share 0.5", "train: 1.jpg=a 6.jpg=b; val: 2.jpg=b 5.jpg=a", "left out: val, 2 images: another split, which is passed over, because -val-share"},
		{"held out of train beside two vals", files(folders + "train/a/5.jpg train/b/6.jpg valid/a/7.jpg"), "-val-share 0.5", "train: 1.jpg=a 6.jpg=b; val: 2.jpg=b 5.jpg=a", "left out: valid, 1 images: another split"},
		{"held out beside a val without labels", files("train/a/1.jpg train/a/2.jpg train/b/5.jpg train/b/6.jpg val/3.jpg val/4.jpg"), "-val-share 0.5", "train: 1.jpg=a 6.jpg=b; val: 2.jpg=a 5.jpg=b", ""},
		{"held out of folders without a word", files("x/a/1.jpg x/a/2.jpg x/b/5.jpg x/b/6.jpg val/a/3.jpg"), "-val-share 0.5", "train: 1.jpg=a 6.jpg=b; val: 2.jpg=a 5.jpg=b", ""},
		{"held out of listed classes", files("a/1.jpg a/2.jpg b/3.jpg b/4.jpg one:b~"), "-val-share 0.5 -classes SRC/one", "train: 4.jpg=b; val: 3.jpg=b", ""},
		{"held out of tar files", tarred("train.tar", "a/1.jpg a/2.jpg b/5.jpg b/6.jpg").and(tarred("val.tar", "a/3.jpg")), "-val-share 0.5", "train: 1.jpg=a 6.jpg=b; val: 2.jpg=a 5.jpg=b", ""},
		{"held out of WebDataset", tarred("train-0.tar", "1.jpg 1.cls:0 2.jpg 2.cls:1 5.jpg 5.cls:1 6.jpg 6.cls:0").and(tarred("val-0.tar", "3.jpg 3.cls:0")), "-val-share 0.5", "train: 1.jpg=0 2.jpg=1; val: 5.jpg=1 6.jpg=0", ""},
		{"held out of WebDataset without a word", tarred("0.tar", "1.jpg 1.cls:0 2.jpg 2.cls:1").and(tarred("1.tar", "5.jpg 5.cls:1 6.jpg 6.cls:0")), "-val-share 0.5", "train: 2.jpg=1 6.jpg=0; val: 1.jpg=0 5.jpg=1", ""},
		{"held out by timm's list", tarred("x-0.tar", "1.jpg 1.cls:0 2.jpg 2.cls:0").and(tarred("y-0.tar", "3.jpg 3.cls:0"), files(`info.json:{"splits":{"train":{"filenames":["x-0.tar"]},"validation":{"filenames":["y-0.tar"]}}}`)), "-val-share 0.5", "train: 2.jpg=0; val: 1.jpg=0", ""},
		{"held out of parquet", hub("data/train.parquet", 0, 1, 1, 0).and(hub("data/val.parquet", 0, 1)), "-val-share 0.5", "train: train-0.jpg=0 train-2.jpg=1; val: train-1.jpg=1 train-3.jpg=0", "left out: data/val.parquet, 2 images: another split"},
		{"held out of IDX", idx("train-images-idx3-ubyte", "train-labels-idx1-ubyte", 0, 1, 0, 1).and(idx("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", 1, 0, 1)), "-val-share 0.5", "train: 00000000=0 00000001=1; val: 00000000=1 00000001=0", "left out: t10k-images-idx3-ubyte, 3 images: another split"},
		// without labels
		{"flat, but labels are wanted", files("1.jpg 2.jpg"), "", "64 2 images, but not in class folders", ""},
		{"flat, all may lack a label", files("1.jpg 2.jpg"), "-allow-unlabelled 2", "64 -unlabelled packs them", ""},
		{"unlabelled, flat", files("1.jpg 2.jpg notes.txt:words"), "-unlabelled", "train: 1.jpg 2.jpg", "no labels, so that runs on it pretrain and nothing more, 1 image left out"},
		{"unlabelled, nested", files("1.jpg x/2.jpg x/y/3.jpg x/y/z/1.jpg"), "-unlabelled", "train: 1.jpg 1.jpg 2.jpg 3.jpg", "the labels of 3 images in 1 classes are dropped: x"},
		{"unlabelled, in classes", files("train/a/1.jpg train/b/2.jpg train/5.jpg val/A/3.jpg val/4.jpg test/6.jpg"), "-unlabelled", "train: 1.jpg 2.jpg 5.jpg; val: 3.jpg 4.jpg", "the labels of 3 images in 3 classes are dropped: A, a, b"},
		{"unlabelled, flat in splits", files("train/1.jpg train/2.jpg val/3.jpg val_annotations.txt:x"), "-unlabelled", "train: 1.jpg 2.jpg; val: 3.jpg", ""},
		{"unlabelled, val held out", files("1.jpg 2.jpg 3.jpg 4.jpg"), "-unlabelled -val-share 0.25", "train: 2.jpg 3.jpg 4.jpg; val: 1.jpg", "0.25 of all images"},
		{"unlabelled, one tar file", tarred("photos.tar", "photos/1.jpg photos/2.jpg"), "-unlabelled", "train: 1.jpg 2.jpg", ""},
		{"unlabelled shards", tarred("000000.tar", "1.jpg").and(tarred("000001.tar", "2.jpg")), "-unlabelled", "train: 1.jpg 2.jpg", "0 images left out"},
		{"unlabelled shards with a word", tarred("train/000000.tar", "1.jpg").and(tarred("train/000001.tar", "2.jpg"), tarred("val/000000.tar", "3.jpg")), "-unlabelled", "train: 1.jpg 2.jpg; val: 3.jpg", ""},
		{"shards with captions", tarred("00000.tar", "1.jpg 1.json:{} 1.txt:a_cat").and(files("00000.parquet:PAR1")), "", "64 1 images, but none has a label", ""},
		{"unlabelled, with captions", tarred("00000.tar", "1.jpg 1.json:{} 1.txt:a_cat").and(tarred("00001.tar", "2.jpg 2.json:{} 2.txt:a_dog"), files("00000.parquet:PAR1")), "-unlabelled", "train: 1.jpg 2.jpg", "the table of 00000.tar"},
		{"unlabelled WebDataset", wds(), "-unlabelled", "train: 1.jpg 2.jpg; val: 3.jpg 4.jpg", "the labels of 4 images in 2 classes are dropped: 0, 1"},
		{"unlabelled WebDataset, one member without", tarred("train-0.tar", "1.jpg 1.cls:0 2.jpg"), "-unlabelled", "train: 1.jpg 2.jpg", "the labels of 1 images"},
		{"unlabelled parquet", hub("data/train.parquet", 0, -1), "-unlabelled", "train: train-0.jpg train-1.jpg", "the labels of 1 images"},
		{"unlabelled parquet without the column", table("0000.parquet", func(i int, image hubImage) struct {
			Image hubImage `parquet:"image"`
		} {
			return struct {
				Image hubImage `parquet:"image"`
			}{image}
		}, 2), "-unlabelled", "train: 0000-0.jpg 0000-1.jpg", "0 images left out"},
		{"unlabelled IDX", idx("train-images-idx3-ubyte", "x", 0, 1), "-unlabelled", "train: 00000000 00000001", ""},
		{"unlabelled, and no train", files("val/1.jpg"), "-unlabelled", "64 split train has no image", ""},
		{"unlabelled, with a class list", files("1.jpg"), "-unlabelled -classes imagenet-100", "64 -classes is about labels", ""},
		{"a share of nothing", files(folders), "-val-share 0", "64 above 0 and below 1", ""},
		{"a share and a pattern", files(folders), "-val-share 0.1 -val val", "64 give one of them", ""},
		{"a seed without a share", files(folders), "-val-seed 1", "64 which is not given", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			source, bucket := filepath.Join(root, "src", "in"), filepath.Join(root, "bucket")
			c.files.write(t, source)
			said, err := packInto(t, bucket, source, strings.ReplaceAll(c.flags, "SRC", source))
			compareOutcome(t, c.want, c.warns, said, err, bucket)
		})
	}
}

// TestWhatIndexMakesOfEveryKindOfShards is the same for cijepa index.
func TestWhatIndexMakesOfEveryKindOfShards(t *testing.T) {
	train := tarred("train-0.tar", "1.jpg 1.cls:0 2.jpg 2.cls:1")
	val := func() made { return tarred("val-0.tar", "3.jpg 3.cls:0 4.jpg 4.cls:1") }
	for _, c := range []struct {
		name  string
		files made
		flags string
		want  string
		warns string
	}{
		{"shards", wds(), "", goodWDS, ""},
		{"unlabelled", tarred("00000.tar", "1.jpg 2.jpg").and(tarred("00001.tar", "3.jpg 3.txt:a_cat")), "-unlabelled", "train: 1 2 3", "no labels, so that runs on it pretrain"},
		{"unlabelled, with labels", wds(), "-unlabelled", "train: 1 2; val: 3 4", "the labels of 4 images in 2 classes are dropped: 0, 1"},
		{"unlabelled, and a key of labels", wds(), "-unlabelled -label x", "64 -label is about labels", ""},
		{"digits behind the word", made{"train0000.tar": wds()["train-0.tar"], "val0000.tar": wds()["val-0.tar"]}, "", goodWDS, ""},
		{"no word", made{"0.tar": wds()["train-0.tar"], "1.tar": wds()["val-0.tar"]}, "", "64 -val PATTERN", ""},
		{"no word, and a pattern", made{"0.tar": wds()["train-0.tar"], "1.tar": wds()["val-0.tar"]}, "-val 1.tar", goodWDS, ""},
		{"test", made{"train/0.tar": wds()["train-0.tar"], "test/0.tar": wds()["val-0.tar"]}, "", "64 -val 'test/0.tar'", ""},
		{"test as val", made{"train/0.tar": wds()["train-0.tar"], "test/0.tar": wds()["val-0.tar"]}, "-val test", goodWDS, ""},
		{"test beside val", wds().and(tarred("test-0.tar", "9.jpg 9.cls:0")), "", goodWDS, "left out: test-0.tar: another split"},
		{"dots in names", tarred("train-0.tar", "img.1.jpg img.1.cls:0 img.2.jpg img.2.cls:1").and(val()), "", "64 the 4 members .1.jpg, .1.cls, .2.jpg, .2.cls all have the key img", ""},
		{"not side by side", tarred("train-0.tar", "1.jpg 2.jpg 1.cls:0 2.cls:1").and(val()), "", "64 do not stand side by side", ""},
		{"a member twice", tarred("train-0.tar", "1.jpg 1.cls:0 1.jpg=x.jpg 1.cls:1").and(val()), "", "64 1.jpg comes twice", ""},
		{"a key twice", tarred("train-0.tar", "1.jpg 1.cls:0 2.jpg 2.cls:1 1.jpg=x.jpg 1.cls:1").and(val()), "", "64 1.jpg comes twice", ""},
		{"two images", tarred("train-0.tar", "1.jpg 1.png 1.cls:0").and(val()), "", "64 sample 1 has 2 images", ""},
		{"a depth map", tarred("train-0.tar", "1.depth.png 1.jpg 1.cls:0 2.jpg 2.cls:1").and(val()), "", goodWDS, "a second image, .depth.png"},
		{"a label less", tarred("train-0.tar", "1.jpg 1.cls:0 2.jpg 2.cls:1 5.jpg").and(val()), "", "64 -allow-unlabelled 1", ""},
		{"a label less that may be", tarred("train-0.tar", "1.jpg 1.cls:0 2.jpg 2.cls:1 5.jpg").and(val()), "-allow-unlabelled 1", goodWDS, "5: it has no label"},
		{"minus one", tarred("train-0.tar", "1.jpg 1.cls:0 2.jpg 2.cls:1 5.jpg 5.cls:-1").and(val()), "", goodWDS, "its label is negative"},
		{"floats", tarred("train-0.tar", "1.jpg 1.cls:0.0 2.jpg 2.cls:1.0").and(val()), "", goodWDS, ""},
		{"half a class", tarred("train-0.tar", "1.jpg 1.cls:0.5 2.jpg 2.cls:1.0").and(val()), "", "64 neither an integer nor a name", ""},
		{"JSON for a label", tarred("train-0.tar", `1.jpg 1.cls:{"label":0}`).and(val()), "", "64 is JSON", ""},
		{"bytes for a label", tarred("train-0.tar", "1.jpg 1.cls:\x00\x01\x02").and(val()), "", "64 cannot be printed", ""},
		{"labels in JSON", tarred("train-0.tar", `1.jpg 1.json:{"label":0,"w":3}`).and(val()), "", "64 -label KEY takes a field of its .json, which has label, w", ""},
		{"labels in JSON, and the key", tarred("train-0.tar", `1.jpg 1.json:{"label":0} 2.jpg 2.json:{"label":1}`).and(tarred("val-0.tar", `3.jpg 3.json:{"label":0} 4.jpg 4.json:{"label":1}`)), "-label label", goodWDS, ""},
		{"names", tarred("train-0.tar", "1.jpg 1.cls:b 2.jpg 2.cls:a").and(tarred("val-0.tar", "3.jpg 3.cls:a")), "", "train: 1=b 2=a; val: 3=a", ""},
		{"names against numbers", tarred("train-0.tar", "1.jpg 1.cls:a 2.jpg 2.cls:b").and(val()), "", "64 2 of 2 classes of split val", ""},
		{"a list that renames", wds(), "-classes SRC/two.txt", "train: 1=x 2=y; val: 3=x 4=y", ""},
		{"a list of some", tarred("train-0.tar", "1.jpg 1.cls:0 2.jpg 2.cls:5").and(val()), "-classes SRC/two.txt", "64 -names FILE", ""},
		{"a list of some, and all names", wds(), "-classes SRC/one.txt -names SRC/two.txt", "train: 2=y; val: 4=y", ""},
		{"compressed", zipped("train-0.tar.gz", made{"x": train["train-0.tar"]}).and(val()), "", "64 gunzip", ""},
		{"compressed without saying so", zipped("train-0.tar", made{"x": train["train-0.tar"]}).and(val()), "", "64 gunzip", ""},
		{"two joined", made{"train-0.tar": slices.Concat(train["train-0.tar"], tarred("x", "5.jpg 5.cls:0")["x"])}.and(val()), "", "64 something follows its end", ""},
		{"cut", made{"train-0.tar": train["train-0.tar"][:900]}.and(val()), "", "65 cut", ""},
		{"no tar file", files("train-0.tar:<html>").and(val()), "", "65 ", ""},
		{"an empty shard", wds().and(tarred("train-1.tar", "")), "", goodWDS, "train-1.tar has no sample"},
		{"a gap", wds().and(tarred("train-2.tar", "5.jpg 5.cls:0")), "", "train: 1=0 2=1 5=0; val: 3=0 4=1", "train-1.tar"},
		{"one of two", made{"train-0-of-2.tar": train["train-0.tar"]}.and(val()), "", "64 train-1-of-2 is not there", ""},
		{"a copy", wds().and(made{"train-0 (1).tar": wds()["train-0.tar"]}), "", "64 have the same bytes", ""},
		{"val is train", made{"train-0.tar": train["train-0.tar"], "val-0.tar": train["train-0.tar"]}, "", "64 have the same bytes", ""},
		{"an unfinished one", wds().and(files("train-1.tar.part:x ._train-0.tar:x")), "", goodWDS, "has not ended"},
		{"both words", made{"train/val-0.tar": train["train-0.tar"]}.and(val()), "", "64 words of two splits", ""},
		{"wids' own index", wds().and(made{"index.json": []byte(`{"__kind__":"wids-shard-index-v1","shardlist":[]}`)}), "", "64 the index of webdataset (wids)", ""},
		{"MosaicML's index", wds().and(files(`index.json:{"version":2,"shards":[]}`)), "", "64 the index of MosaicML streaming", ""},
		{"wids in a folder", made{"s/a-0.tar": wds()["train-0.tar"], "s/b-0.tar": wds()["val-0.tar"]}.and(made{
			"train.json": []byte(`{"__kind__":"wids-shard-index-v1","shardlist":[{"url":"s/a-0.tar"}]}`),
			"val.json":   []byte(`{"__kind__":"wids-shard-index-v1","shardlist":[{"url":"s/b-0.tar"}]}`)}), "", goodWDS, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bucket := t.TempDir()
			c.files.write(t, filepath.Join(bucket, "d"))
			files("one.txt:y two.txt:x~y").write(t, bucket)
			var out bytes.Buffer
			args := append([]string{"-data", "d"}, strings.Fields(strings.ReplaceAll(c.flags, "SRC", bucket))...)
			err := reindex(t.Context(), append(args, "file://"+bucket), &out, nil, storagetest.Log(t))
			compareOutcome(t, c.want, c.warns, out.String(), err, bucket)
		})
	}
}

// packInto runs cijepa pack.
func packInto(t *testing.T, bucket, source, flags string) (said string, err error) {
	t.Helper()
	var out bytes.Buffer
	args := append(append([]string{"-data", "d"}, strings.Fields(flags)...), source, "file://"+bucket)
	err = runPack(t.Context(), args, &out, nil, storagetest.Log(t))
	return out.String(), err
}

// compareOutcome compares what came out with what must.
func compareOutcome(t *testing.T, want, warns, said string, err error, bucket string) {
	t.Helper()
	if err != nil {
		code, words, _ := strings.Cut(want, " ")
		if fmt.Sprint(exitCode(err)) != code || !strings.Contains(err.Error(), words) {
			t.Errorf("exit %d: %v\nwant %s", exitCode(err), err, want)
		}
		if stored, _ := filepath.Glob(filepath.Join(bucket, "d", "index.notes.json")); len(stored) > 0 {
			t.Errorf("stored %v", stored)
		}
		return
	}
	if got := packedSamples(t, bucket); got != want {
		t.Errorf("packed\n%s\nwant\n%s", got, want)
	}
	if !strings.Contains(said, warns) {
		t.Errorf("no %q in\n%s", warns, said)
	}
}
