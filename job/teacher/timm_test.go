package teacher

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	_ "github.com/gomlx/compute/gobackend"

	"github.com/cijepa/cijepa/job/input/pixels"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
)

// TestTimmLoadsTheFolder: timm's create_model loads the folder, from a disk and from the hub, and
// after its own preprocessing of images of several shapes computes our features, at every depth.
// The code on the card gives what the probe sees, also where blocks behind the deepest depth were
// not trained.
func TestTimmLoadsTheFolder(t *testing.T) {
	for _, depths := range []settings.DepthSet{{0, 1, 2}, {0, 1}} {
		t.Run("depths "+depths.String(), func(t *testing.T) { testTimmLoads(t, depths) })
	}
}

func testTimmLoads(t *testing.T, depths settings.DepthSet) {
	interpreter := os.Getenv("CIJEPA_PYTHON")
	if interpreter == "" {
		t.Skip("only with CIJEPA_PYTHON, an interpreter that has torch, safetensors and timm")
	}
	folder := t.TempDir()
	r := testResult()
	r.Recipe.Image, r.Recipe.Patch, r.Recipe.Width, r.Recipe.Depth, r.Recipe.Heads = 40, 8, 32, 3, 2
	r.Recipe.PredictorWidth, r.Recipe.PredictorHeads, r.Recipe.Precision = 16, 2, model.Float32
	r.Recipe.Depths, r.Recipe.ContextScale, r.Recipe.TargetScale = depths, settings.Range{0.85, 1}, settings.Range{0.15, 0.3}
	r.Recipe.IntermediateRows = 1
	card := ResultCard(r)
	card.File = hubFile
	c := card.model()
	encoder, weights := spreadEncoder(t, c)
	config, err := Config(c)
	if err != nil {
		t.Fatal(err)
	}
	text, err := card.Markdown()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{hubFile: weights, ConfigFile: config, CardFile: text} {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	device, err := model.DeviceOptions{Log: nil}.Open("go:ops_sequential")
	if err != nil {
		t.Fatal(err)
	}
	probe, err := model.NewProbe(device, c, model.ProbeConfig{Classes: 2, Batch: 1}, encoder, 0)
	if err != nil {
		t.Fatal(err)
	}
	arguments := []string{filepath.Join("testdata", "timm_loads.py"), folder}
	var ours [][]float32 // by image: [L, D]
	decoder := pixels.NewDecoder()
	defer decoder.Close()
	for i, size := range []image.Point{{64, 48}, {37, 90}, {300, 201}} {
		picture := testPicture(t, size)
		path := filepath.Join(t.TempDir(), fmt.Sprintf("%d.png", i))
		if err := os.WriteFile(path, picture, 0o600); err != nil {
			t.Fatal(err)
		}
		arguments = append(arguments, path)
		cut := make([]byte, c.Image*c.Image*3)
		if err := decoder.Cut(picture, pixels.EvaluationCrop(c.Image).View(size.X, size.Y, c.Image, nil), cut); err != nil {
			t.Fatal(err)
		}
		features, err := probe.Features(cut)
		if err != nil {
			t.Fatal(err)
		}
		ours = append(ours, features)
	}

	output, err := exec.Command(interpreter, arguments...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		t.Fatalf("%v\n%s%s", err, output, exit.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Version  string
		Features [][]float64
		Depths   [][][]float64
		Snippets [][]float64
		Hub      *bool
		Card     json.RawMessage
	}
	if err := json.Unmarshal(output, &got); err != nil {
		t.Fatal(err)
	}
	if got.Hub == nil || !*got.Hub {
		t.Error("the hub's way gives another network")
	}
	want := `{"library": "timm", "pipeline": "image-feature-extraction", "datasets": ["imagenet-100"], "model": "R-A05-B08-s3", ` +
		`"metrics": [["Linear probe on the frozen teacher", "imagenet-100", "Top-1, %", 70.06], ["Linear probe on the frozen teacher", "imagenet-100", "Top-5, %", 90.1], ` +
		`["kNN on the frozen teacher", "imagenet-100", "Top-1, %", 61.5]]}`
	if string(got.Card) != want {
		t.Errorf("the hub reads\n%s\nof the card, want\n%s", got.Card, want)
	}
	if len(got.Snippets) != 4 {
		t.Fatalf("the card's code gives %d features", len(got.Snippets))
	}
	for n, features := range got.Snippets {
		deepest := ours[0][(len(c.Depths)-1)*c.Width:]
		worst, largest := 0.0, 0.0
		for k, v := range features {
			worst, largest = max(worst, math.Abs(v-float64(deepest[k]))), max(largest, math.Abs(v))
		}
		if len(features) != c.Width || worst > 1e-4*largest || largest < 0.1 {
			t.Errorf("the card's code, output %d: features up to %g differ by %g from what the probe sees", n, largest, worst)
		}
	}
	for i := range ours {
		worst, largest := 0.0, 0.0
		for depth := range c.Depths {
			for k, v := range got.Depths[i][depth] {
				our := float64(ours[i][depth*c.Width+k])
				worst, largest = max(worst, math.Abs(v-our)), max(largest, math.Abs(our))
				if depth == c.Depth-1 {
					worst = max(worst, math.Abs(got.Features[i][k]-our))
				}
			}
		}
		t.Logf("timm %s, image %d: features up to %.3g differ by %.2g of that", got.Version, i, largest, worst/largest)
		if worst > 1e-4*largest || largest < 0.1 {
			t.Errorf("image %d: features up to %g differ by %g", i, largest, worst)
		}
	}
}

// spreadEncoder is an initial encoder with weights eight times as large, so that every part of it
// shows in its features, and its file.
func spreadEncoder(t *testing.T, c model.Config) (*model.Encoder, []byte) {
	t.Helper()
	initial, err := model.InitialEncoder(c, 7)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := initial.Export(&b, nil); err != nil {
		t.Fatal(err)
	}
	file := b.Bytes()
	for at := 8 + int(binary.LittleEndian.Uint64(file)); at < len(file); at += 4 {
		v := math.Float32frombits(binary.LittleEndian.Uint32(file[at:]))
		binary.LittleEndian.PutUint32(file[at:], math.Float32bits(8*v))
	}
	e, err := model.ReadEncoder(c, bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return e, file
}

// testPicture is a PNG of waves and corners.
func testPicture(t *testing.T, size image.Point) []byte {
	t.Helper()
	picture := image.NewNRGBA(image.Rectangle{Max: size})
	for y := range size.Y {
		for x := range size.X {
			wave := func(a, b float64) uint8 { return uint8(127 + 120*math.Sin(a*float64(x)+b*float64(y))) }
			picture.SetNRGBA(x, y, color.NRGBA{wave(0.3, 0.1), wave(-0.05, 0.4), uint8(255 * ((x / 9) ^ (y / 5)) & 255), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestTimmResizesAsEvaluationDoes: for every size timm's floor(size/crop_pct) is the shorter side
// that evaluation resizes to.
func TestTimmResizesAsEvaluationDoes(t *testing.T) {
	for size := 1; size <= 1024; size++ {
		if got, want := math.Floor(float64(size)/cropShare(size)), pixels.EvaluationCrop(size).Shorter; int(got) != want {
			t.Errorf("size %d: timm resizes to %g, evaluation to %d", size, got, want)
		}
	}
}
