package model

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/cijepa/cijepa/model/mask"
)

// Every difference from the reference is bounded as a share of the tensor's largest value. On an
// XLA plugin sums have another order, and a GPU must be told to leave TF32 off:
// CIJEPA_XLA_PLUGIN=/path/of/plugin.so,tf32=false.
const (
	goldenTolerance = 2e-5
	pluginTolerance = 1e-4
	bf16Tolerance   = 2e-2
)

// tolerance of a device in a precision.
func tolerance(d *Device, precision string) float64 {
	switch {
	case precision == BFloat16:
		return bf16Tolerance
	case d.client != nil:
		return pluginTolerance
	}
	return goldenTolerance
}

// Adam divides a gradient by its own size. If a gradient is hardly above the rounding error of
// float32, the quotient consists of that error: PyTorch in float32 is up to 1e-4 away from PyTorch
// in float64 there. So a small share of the state's elements may differ by more, up to this bound.
const (
	adamTolerance = 5e-4
	adamShare     = 1e-4
)

// golden is a file of test vectors that model/reference/golden.py wrote: weights, inputs and the
// results.
type golden struct {
	Config
	steps   []goldenStep
	tensors map[string]goldenTensor
}

type goldenStep struct {
	Sources  []int
	Rate     float64 `json:"learning_rate"`
	Momentum float64
}

// goldenTensor has its elements as float64, whatever their type is in the file.
type goldenTensor struct {
	dims   []int
	values []float64
}

// goldenFiles are the files beside the tests, then those of the folder that CIJEPA_GOLDEN names.
func goldenFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, folder := range []string{"testdata", os.Getenv("CIJEPA_GOLDEN")} {
		if folder == "" {
			continue
		}
		found, err := filepath.Glob(filepath.Join(folder, "objective-*.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			t.Fatalf("no objective-*.safetensors in %s", folder)
		}
		files = append(files, found...)
	}
	return files
}

func readGolden(t *testing.T, file string) golden {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := bytes.NewReader(data)
	entries, order := safetensorsHeader(t, r)
	g := golden{tensors: map[string]goldenTensor{}}
	for _, name := range order {
		e := entries[name]
		raw := make([]byte, e.Offsets[1]-e.Offsets[0])
		if _, err := io.ReadFull(r, raw); err != nil {
			t.Fatal(err)
		}
		tensor := goldenTensor{dims: e.Shape}
		switch e.DType {
		case "F32":
			for chunk := range slices.Chunk(raw, 4) {
				tensor.values = append(tensor.values, float64(math.Float32frombits(binary.LittleEndian.Uint32(chunk))))
			}
		case "I64":
			for chunk := range slices.Chunk(raw, 8) {
				tensor.values = append(tensor.values, float64(int64(binary.LittleEndian.Uint64(chunk))))
			}
		default:
			t.Fatalf("%s: type %s", name, e.DType)
		}
		g.tensors[name] = tensor
	}

	var header struct {
		Metadata struct {
			Config, Alpha, Beta, Steps string
			WeightDecay                string `json:"weight_decay"`
		} `json:"__metadata__"`
	}
	decode(t, data[8:8+binary.LittleEndian.Uint64(data)], &header)
	m := header.Metadata
	var sizes struct {
		Image, Patch, Width, Depth, Heads int
		PredictorWidth                    int `json:"predictor_width"`
		PredictorDepth                    int `json:"predictor_depth"`
		PredictorHeads                    int `json:"predictor_heads"`
		Depths                            []int
		MLPRatio                          int     `json:"mlp_ratio"`
		RopeTheta                         float64 `json:"rope_theta"`
		TargetNorm                        bool    `json:"target_norm"`
	}
	decode(t, []byte(m.Config), &sizes)
	decode(t, []byte(m.Steps), &g.steps)
	g.Config = Config{
		Image: sizes.Image, Patch: sizes.Patch, Width: sizes.Width, Depth: sizes.Depth, Heads: sizes.Heads,
		MLPRatio: sizes.MLPRatio, PredictorWidth: sizes.PredictorWidth, PredictorDepth: sizes.PredictorDepth,
		PredictorHeads: sizes.PredictorHeads, RopeTheta: sizes.RopeTheta, Depths: sizes.Depths,
		AllToLastWeight: new(float64), LastToLastWeight: new(float64),
		IntermediateRows: len(g.steps[0].Sources) - 1, TargetNorm: sizes.TargetNorm,
		Masks: mask.Default(), Batch: g.tensors["step0/images"].dims[0], Precision: Float32,
	}
	g.Masks.TargetBlocks = g.tensors["step0/targets"].dims[1]
	decode(t, []byte(m.Alpha), g.AllToLastWeight)
	decode(t, []byte(m.Beta), g.LastToLastWeight)
	decode(t, []byte(m.WeightDecay), &g.WeightDecay)
	return g
}

// headerEntry is an array in the header of a safetensors file.
type headerEntry struct {
	DType   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// safetensorsHeader reads the header of a file by itself, so that tests do not trust the code they
// test. The order is that of the arrays in the file.
func safetensorsHeader(t testing.TB, r io.Reader) (entries map[string]headerEntry, order []string) {
	t.Helper()
	var length uint64
	if err := binary.Read(r, binary.LittleEndian, &length); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		t.Fatal(err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	delete(raw, "__metadata__")
	entries = map[string]headerEntry{}
	for name, message := range raw {
		var entry headerEntry
		if err := json.Unmarshal(message, &entry); err != nil {
			t.Fatal(err)
		}
		entries[name], order = entry, append(order, name)
	}
	slices.SortFunc(order, func(a, b string) int {
		return cmp.Compare(entries[a].Offsets[0], entries[b].Offsets[0])
	})
	return entries, order
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// float32s are values as little-endian float32.
func float32s(values []float64) (data []byte) {
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(v)))
	}
	return data
}

// images are the images of a step as floats [B, S, S, 3]; the file has [B, 3, S, S].
func (g golden) images(step int) []byte {
	x := g.tensors[fmt.Sprintf("step%d/images", step)]
	b, side := x.dims[0], x.dims[2]
	var data []byte
	for image := range b {
		for pixel := range side * side {
			for channel := range 3 {
				data = append(data, float32s(x.values[(image*3+channel)*side*side+pixel:][:1])...)
			}
		}
	}
	return data
}

func (g golden) masks(step int) mask.Masks {
	context, targets := g.tensors[fmt.Sprintf("step%d/context", step)], g.tensors[fmt.Sprintf("step%d/targets", step)]
	m := mask.Masks{B: context.dims[0], C: context.dims[1], M: targets.dims[1], K: targets.dims[2]}
	for _, v := range context.values {
		m.Context = append(m.Context, int32(v))
	}
	for _, v := range targets.values {
		m.Targets = append(m.Targets, int32(v))
	}
	return m
}

// learner makes a learner with the weights of the file.
func (g golden) learner(t *testing.T, d *Device) *Learner {
	t.Helper()
	l, err := NewLearner(d, g.Config, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range l.files(l.Config) {
		for i, a := range p.group.arrays {
			var data []byte
			for _, name := range a.names() {
				data = append(data, float32s(g.want(t, "before/"+p.prefix+name).values)...)
			}
			if p.group.params[i], err = d.upload(data, a.shape()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return l
}

func (g golden) want(t *testing.T, name string) goldenTensor {
	t.Helper()
	x, ok := g.tensors[name]
	if !ok {
		t.Fatalf("the file has no %s", name)
	}
	return x
}

// compare returns the largest difference as a share of the largest wanted value, and how many are
// above the tolerance.
func compare(t *testing.T, name string, got, want []float64, tolerance float64) (worst float64, above int) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s has %d elements, want %d", name, len(got), len(want))
		return 0, 0
	}
	largest := 0.0
	for _, v := range want {
		largest = max(largest, math.Abs(v))
	}
	if largest == 0 {
		largest = 1
	}
	for i := range want {
		difference := math.Abs(got[i]-want[i]) / largest
		if !(difference <= tolerance) {
			above++
		}
		worst = max(worst, difference)
	}
	return worst, above
}

// same fails if a difference is above the tolerance.
func same(t *testing.T, name string, got, want []float64, tolerance float64) float64 {
	t.Helper()
	worst, above := compare(t, name, got, want, tolerance)
	if above > 0 {
		t.Errorf("%s differs by %.3g of its largest value, and %d of its %d elements by more than %g", name, worst, above, len(want), tolerance)
	}
	return worst
}

func doubles(t *testing.T, x *tensors.Tensor) (values []float64) {
	t.Helper()
	flat, err := tensors.CopyFlatData[float32](x)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range flat {
		values = append(values, float64(v))
	}
	return values
}

// parse reads all the arrays of a state by name.
func parse(t *testing.T, s []Part) map[string][]float64 {
	t.Helper()
	values := map[string][]float64{}
	for _, p := range s {
		var file bytes.Buffer
		if err := p.Write(&file); err != nil {
			t.Fatal(err)
		}
		if int64(file.Len()) != p.Size {
			t.Errorf("%s has %d bytes, not the %d that it says", p.Name, file.Len(), p.Size)
		}
		entries, order := safetensorsHeader(t, &file)
		for _, name := range order {
			for chunk := range slices.Chunk(file.Next(int(entries[name].Offsets[1]-entries[name].Offsets[0])), 4) {
				values[name] = append(values[name], float64(math.Float32frombits(binary.LittleEndian.Uint32(chunk))))
			}
		}
	}
	return values
}
