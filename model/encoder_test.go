package model

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/cijepa/cijepa/model/safetensors"
)

// timm loads an exported encoder, strictly, and computes the same features.
func TestTimmComputesTheSameFeatures(t *testing.T) {
	g := readGolden(t, filepath.Join("testdata", "objective-hierarchy.safetensors"))
	l := g.learner(t, testDevice(t))
	e, err := l.Encoder()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	write := func(name string, write func(io.Writer) error) string {
		var file bytes.Buffer
		if err := write(&file); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	encoder := write("encoder.safetensors", func(w io.Writer) error { return e.Export(w, map[string]string{"made by": "a test"}) })
	input := g.tensors["step0/images"]
	images := write("images.safetensors", func(w io.Writer) error {
		return safetensors.Write(w, []safetensors.Array{{Name: "images", Dims: input.dims, Data: float32s(input.values)}}, nil)
	})
	sizes, err := json.Marshal(map[string]any{"image": g.Image, "patch": g.Patch, "width": g.Width, "depth": g.Depth,
		"heads": g.Heads, "mlp_ratio": g.MLPRatio, "rope_theta": g.RopeTheta})
	if err != nil {
		t.Fatal(err)
	}
	var got []float64
	decode(t, python(t, "timm_features.py", encoder, images, string(sizes)), &got)

	// Ours are those of the deepest depth in the test vectors, which TestGoldenObjective holds.
	hidden := g.tensors["step0/hidden/teacher"].values
	want := hidden[len(hidden)-len(hidden)/len(g.Depths):]
	worst, _ := compare(t, "timm's features", got, want, goldenTolerance)
	if worst > 1e-4 {
		t.Errorf("timm's features differ by %.3g of the largest", worst)
	}
	t.Logf("timm's features of %d values differ by %.2g of the largest", len(got), worst)
}

// An export is read back to the bit, and only into an encoder of the same sizes.
func TestEncoderRoundTrip(t *testing.T) {
	c := tiny()
	e, err := InitialEncoder(c, 5)
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	if err := e.Export(&first, nil); err != nil {
		t.Fatal(err)
	}
	back, err := ReadEncoder(c, bytes.NewReader(first.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if err := back.Export(&second, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("an encoder changed on its way out and in")
	}
	c.Width = 32
	if _, err := ReadEncoder(c, bytes.NewReader(first.Bytes())); err == nil {
		t.Error("an encoder of width 16 was read into one of width 32")
	}

	// The untrained encoder is the teacher that a learner of the same seed begins with.
	l, err := NewLearner(testDevice(t), tiny(), 5)
	if err != nil {
		t.Fatal(err)
	}
	teacher, err := l.Encoder()
	if err != nil {
		t.Fatal(err)
	}
	second.Reset()
	if err := teacher.Export(&second, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the untrained encoder is not the initial teacher")
	}
}
