package pack

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// element is a data element of a MATLAB file, in the short form where it fits.
func element(kind uint32, data []byte) []byte {
	if n := len(data); n > 0 && n <= 4 {
		out := binary.LittleEndian.AppendUint32(nil, kind|uint32(n)<<16)
		return append(append(out, data...), make([]byte, 4-n)...)
	}
	out := binary.LittleEndian.AppendUint32(nil, kind)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(data)))
	out = append(out, data...)
	return append(out, make([]byte, (8-len(data)%8)%8)...)
}

// matrix is a matrix element: flags, dimensions, no name, and what follows.
func matrix(class byte, rest ...[]byte) []byte {
	body := element(6, []byte{class, 0, 0, 0, 0, 0, 0, 0})
	body = append(body, element(5, []byte{1, 0, 0, 0, 1, 0, 0, 0})...)
	body = append(body, element(1, nil)...)
	for _, r := range rest {
		body = append(body, r...)
	}
	return element(14, body)
}

// metaMat is a meta.mat of these synsets, whose class numbers count from 1.
func metaMat(compressed bool, synsets ...string) []byte {
	fields := [][]byte{element(5, []byte{16, 0, 0, 0}), element(1, []byte("ILSVRC2012_ID\x00\x00\x00WNID\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00words\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))}
	for i, synset := range synsets {
		id := element(9, binary.LittleEndian.AppendUint64(nil, math.Float64bits(float64(i+1))))
		if i%2 == 0 {
			id = element(2, []byte{byte(i + 1)})
		}
		wide := []byte{}
		for _, c := range []byte(synset) {
			wide = append(wide, c, 0)
		}
		fields = append(fields, matrix(6, id), matrix(4, element(4, wide)), matrix(4, element(16, []byte("some words"))))
	}
	all := matrix(2, fields...)
	if compressed {
		var out bytes.Buffer
		w := zlib.NewWriter(&out)
		w.Write(all)
		w.Close()
		all = element(15, out.Bytes())
	}
	return append(make([]byte, 128), all...)
}

// The development kit's ground truth is read with the synsets of meta.mat, as a folder, beside it,
// and as an archive.
func TestDevelopmentKitNamesTheClassesOfVal(t *testing.T) {
	want := map[string]string{"ILSVRC2012_val_00000001": "n02", "ILSVRC2012_val_00000002": "n09", "ILSVRC2012_val_00000003": "n02"}
	const numbers = "2\n3\n2\n"
	for _, c := range []struct {
		name  string
		files files
		open  string
		fault string
	}{
		{"folder", files{"kit/data/" + groundTruth: numbers, "kit/data/meta.mat": string(metaMat(true, "n07", "n02", "n09"))}, "kit", ""},
		{"file", files{"data/" + groundTruth: numbers, "data/meta.mat": string(metaMat(false, "n07", "n02", "n09"))}, "data/" + groundTruth, ""},
		{"list of names", files{"data/" + groundTruth: numbers, "data/map_clsloc.txt": "n07 1 a\nn02 2 b\nn09 3 c\n"}, "data/" + groundTruth, ""},
		{"archive", files{"kit.tar": packTar(files{"k/data/" + groundTruth: numbers, "k/data/meta.mat": string(metaMat(true, "n07", "n02", "n09"))})}, "kit.tar", ""},
		{"no meta.mat", files{"data/" + groundTruth: numbers}, "data/" + groundTruth, "give -val-labels the whole kit"},
		{"damaged", files{"data/" + groundTruth: numbers, "data/meta.mat": string(metaMat(true, "n07")[:150])}, "data/" + groundTruth, "meta.mat is not"},
		{"an unknown class", files{"data/" + groundTruth: "4\n", "data/map_clsloc.txt": "n07 1 a\n"}, "data/" + groundTruth, "the class 4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			c.files.write(t, root)
			got, err := readLabelFile(filepath.Join(root, c.open), func(stem string) bool { return want[stem] != "" })
			if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) || err == nil && !maps.Equal(got, want) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// Tables of many tools are read by where the name of an image stands.
func TestTablesNameTheClassesOfVal(t *testing.T) {
	want := map[string]string{"v_1": "n07", "v_2": "n09"}
	for i, text := range []string{
		"ImageId,PredictionString\nv_1,n07 1 2 3 4 n07 5 6 7 8\nv_2,n09 1 2 3 4\n",
		"v_1.JPEG\tn07\t0\t0\t1\t1\r\nv_2.JPEG\tn09\t0\t0\t1\t1\r\n",
		"mkdir -p n07\nmv v_1.JPEG n07/\nmv v_2.JPEG n09/\n",
		"\ufefflabel;image\nn07;val/v_1.png\nn09;val/v_2.png\n",
		"0,v_1.jpg,\"n07\"\n1,v_2.jpg,\"n09\"\n",
	} {
		name := filepath.Join(t.TempDir(), fmt.Sprint(i))
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if got, err := readLabelFile(name, func(stem string) bool { return want[stem] != "" }); err != nil || !maps.Equal(got, want) {
			t.Errorf("table %d: %v, %v", i, got, err)
		}
	}
}

func FuzzMetaMat(f *testing.F) {
	f.Add(metaMat(true, "n07", "n02"))
	f.Add(metaMat(false, "n07", "n02"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if synsets, err := matSynsets(data); err == nil && len(synsets) == 0 {
			t.Error("no synsets and no error")
		}
	})
}
