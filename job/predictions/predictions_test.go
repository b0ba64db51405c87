package predictions

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/model/classify"
	"github.com/cijepa/cijepa/model/draw"
)

// simulate makes the answers of probes whose logits see the right class by signal[depth], its four
// neighbours by half of that, and noise that two depths in a row share with correlation rho.
func simulate(s *draw.Stream, labels []int32, classes int, rho float64, signal ...float64) []classify.Answers {
	all := make([]classify.Answers, len(signal))
	noise, logits := make([]float64, classes), make([]float64, classes)
	for _, label := range labels {
		for d, strength := range signal {
			keep := rho
			if d == 0 {
				keep = 0
			}
			for c := range logits {
				noise[c] = keep*noise[c] + math.Sqrt(1-keep*keep)*s.Normal()
				logits[c] = noise[c]
				if c == int(label) {
					logits[c] += strength
				} else if c/5 == int(label)/5 {
					logits[c] += strength / 2
				}
			}
			rank := int32(0)
			for _, v := range logits {
				if v > logits[label] {
					rank++
				}
			}
			best := slices.Index(logits, slices.Max(logits))
			all[d].Append(classify.Answers{Classes: []int32{int32(best)}, Ranks: []int32{rank}})
		}
	}
	return all
}

// simulated are the predictions of a run of good accuracy.
func simulated(images, classes, depths int) *Predictions {
	s := draw.New(1, "predictions")
	p := &Predictions{Classes: classes, KNNDepths: []int{depths - 1}}
	for range images {
		p.Labels = append(p.Labels, int32(s.IntN(classes)))
	}
	var trained, untrained []float64
	for d := range depths {
		p.Depths = append(p.Depths, d)
		at := float64(d) / float64(depths)
		trained, untrained = append(trained, 1.5+2*at), append(untrained, 0.8+0.2*at)
	}
	p.Probe, p.UntrainedProbe = simulate(s, p.Labels, classes, 0.9, trained...), simulate(s, p.Labels, classes, 0.9, untrained...)
	p.KNN, p.UntrainedKNN = simulate(s, p.Labels, classes, 0, 3), simulate(s, p.Labels, classes, 0, 0.8)
	return p
}

// clipped is what is read of predictions that were written.
func clipped(p *Predictions) *Predictions {
	for _, m := range p.members() {
		for _, a := range *m.answers {
			for i, rank := range a.Ranks {
				a.Ranks[i] = min(rank, maxRank)
			}
		}
	}
	return p
}

func shapeOf(p *Predictions) Shape { return Shape{p.Classes, len(p.Labels), p.Depths} }

// TestObjectOfFullSizeIsSmall: 5,000 images of 100 classes, twelve depths, top-1 from 16 to 65 %,
// and untrained probes at 6 %.
func TestObjectOfFullSizeIsSmall(t *testing.T) {
	t.Parallel()
	p := simulated(5000, 100, 12)
	object, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.Encode()
	if err != nil || !bytes.Equal(object, again) {
		t.Errorf("two objects of the same predictions differ: %v", err)
	}
	for d, a := range p.Probe {
		t.Logf("depth %d: top-1 %.1f %%, untrained %.1f %%", d, float64(a.Top(1))/50, float64(p.UntrainedProbe[d].Top(1))/50)
	}
	if t.Logf("%d bytes", len(object)); len(object) > 150_000 {
		t.Errorf("the object has %d bytes", len(object))
	}
	got, err := Decode(object, shapeOf(p))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(clipped(p), got); d != "" {
		t.Error(d)
	}
}

// TestArraysOfEverySize: classes of one, two and four bytes, no kNN, and answers that name no
// class.
func TestArraysOfEverySize(t *testing.T) {
	for _, classes := range []int{1, 10, 255, 256, 65535, 65536} {
		p := &Predictions{Classes: classes, Labels: []int32{0, int32(classes - 1), 0}, Depths: []int{3, 300}}
		one := classify.Answers{Classes: []int32{0, int32(classes), int32(classes)}, Ranks: []int32{0, 1, int32(min(classes, maxRank))}}
		p.Probe, p.UntrainedProbe = []classify.Answers{one, one}, []classify.Answers{one, one}
		if classes%2 == 0 {
			p.KNNDepths, p.KNN, p.UntrainedKNN = []int{300}, []classify.Answers{one}, []classify.Answers{one}
		} else {
			p.KNNDepths = []int{}
		}
		object, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(object, shapeOf(p))
		if err != nil {
			t.Fatalf("%d classes: %v", classes, err)
		}
		if d := cmp.Diff(p, got); d != "" {
			t.Errorf("%d classes:\n%s", classes, d)
		}
	}
}

// TestOtherObjectsAreRefused: whatever is of another shape, has values out of range or contradicts
// itself, and what would take much memory.
func TestOtherObjectsAreRefused(t *testing.T) {
	p := simulated(30, 10, 3)
	object, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(object, shapeOf(p)); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]Shape{
		"more images": {10, 31, p.Depths}, "other depths": {10, 30, []int{0, 1, 3}}, "fewer depths": {10, 30, p.Depths[:2]},
		"other classes": {11, 30, p.Depths}, "no images": {10, 0, p.Depths}, "no classes": {0, 30, p.Depths}, "no depths": {10, 30, nil},
		"below zero": {-1, -1, p.Depths}, "too much": {10, 1 << 40, p.Depths},
	} {
		if _, err := Decode(object, s); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for n := range len(object) {
		if _, err := Decode(object[:n], shapeOf(p)); err == nil {
			t.Fatalf("cut to %d bytes: no error", n)
		}
	}
	for name, change := range map[string]func(files map[string][]byte){
		"a label out of range": func(f map[string][]byte) { f["labels"][headerSize] = 10 },
		"a class out of range": func(f map[string][]byte) { f["probe_class"][headerSize] = 11 },
		"a rank out of range":  func(f map[string][]byte) { f["probe_rank"][headerSize] = 11 },
		"wrong with rank 0": func(f map[string][]byte) {
			f["probe_class"][headerSize] = byte(p.Labels[0]+1) % 10
			f["probe_rank"][headerSize] = 0
		},
		"another depth":            func(f map[string][]byte) { f["depths"][headerSize] = 9 },
		"a kNN depth not measured": func(f map[string][]byte) { f["knn_depths"][headerSize] = 9 },
		"an array in C's order": func(f map[string][]byte) {
			f["probe_class"] = bytes.Replace(f["probe_class"], []byte("True, "), []byte("False,"), 1)
		},
		"an array is missing":  func(f map[string][]byte) { delete(f, "untrained_knn_rank") },
		"an array too many":    func(f map[string][]byte) { f["x"] = f["labels"] },
		"an array is cut":      func(f map[string][]byte) { f["knn_rank"] = f["knn_rank"][:100] },
		"kNN at every depth":   func(f map[string][]byte) { f["knn_depths"] = f["depths"] },
		"zeros without an end": func(f map[string][]byte) { f["x"] = make([]byte, maxBytes+1) },
	} {
		files := unpacked(t, object)
		change(files)
		if _, err := Decode(packed(t, files), shapeOf(p)); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
	p.Probe[0].Ranks[0] = -1
	if _, err := p.Encode(); err == nil {
		t.Error("a rank below zero is written")
	}
}

// unpacked are the arrays of an object by name.
func unpacked(t *testing.T, object []byte) map[string][]byte {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(object), int64(len(object)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range r.File {
		if files[strings.TrimSuffix(f.Name, ".npy")], err = unpack(f); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func packed(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for name, data := range files {
		file, err := w.Create(name + ".npy")
		if err == nil {
			_, err = file.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// An archive may state any size of a file that holds more.
func TestArchiveThatUnderstatesItsSizeIsRefused(t *testing.T) {
	p := simulated(30, 10, 3)
	object, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(object, []byte("PK\x01\x02")) // of the last file in the directory
	for _, size := range []uint32{0, 1, 128, 1 << 31} {
		other := slices.Clone(object)
		binary.LittleEndian.PutUint32(other[at+24:], size)
		if _, err := Decode(other, shapeOf(p)); err == nil {
			t.Errorf("a file of a stated size of %d: no error", size)
		}
	}
}

// TestNumPyReadsTheObject in one line.
func TestNumPyReadsTheObject(t *testing.T) {
	python := os.Getenv("CIJEPA_PYTHON")
	if python == "" {
		t.Skip("only with CIJEPA_PYTHON, an interpreter that has numpy")
	}
	p := simulated(200, 10, 3)
	object, err := p.Encode()
	file := filepath.Join(t.TempDir(), File)
	if err == nil {
		err = os.WriteFile(file, object, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, "-c", `
import sys
import numpy as np
p = np.load(sys.argv[1])
print(sorted(p.files))
print((100 * (p["probe_class"] == p["labels"]).mean(axis=1)).tolist(), (100 * (p["untrained_probe_rank"] < 5).mean(axis=1)).tolist())
print(int(p["classes"]), p["depths"].tolist(), p["knn_depths"].tolist(), p["knn_class"].shape, p["labels"].tolist() == `+
		strings.ReplaceAll(fmt.Sprint(p.Labels), " ", ", ")+`)
`, file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	percent := func(k int32, answers []classify.Answers) (all []string) {
		for _, a := range answers {
			all = append(all, fmt.Sprintf("%.1f", 100*float64(a.Top(k))/200))
		}
		return all
	}
	want := "['classes', 'depths', 'knn_class', 'knn_depths', 'knn_rank', 'labels', 'probe_class', 'probe_rank', " +
		"'untrained_knn_class', 'untrained_knn_rank', 'untrained_probe_class', 'untrained_probe_rank']\n[" +
		strings.Join(percent(1, p.Probe), ", ") + "] [" + strings.Join(percent(5, p.UntrainedProbe), ", ") + "]\n10 [0, 1, 2] [2] (1, 200) True\n"
	if d := cmp.Diff(want, string(out)); d != "" {
		t.Error(d)
	}
}
