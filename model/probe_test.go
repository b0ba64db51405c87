package model

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/model/classify"
	"github.com/cijepa/cijepa/model/draw"
	"github.com/cijepa/cijepa/model/mask"
)

// probeConfig is an encoder small enough for plain loops.
func probeConfig(depths ...int) Config {
	return Config{
		Image: 24, Patch: 4, Width: 16, Depth: 4, Heads: 2, MLPRatio: 2,
		PredictorWidth: 8, PredictorDepth: 1, PredictorHeads: 1,
		RopeTheta: 10000, Depths: depths, Masks: mask.Default(), Batch: 4, Precision: Float32,
	}
}

// strongEncoder is an initial encoder with larger weights, so that features of different images
// differ.
func strongEncoder(t testing.TB, cfg Config) *Encoder {
	t.Helper()
	e, err := InitialEncoder(cfg, 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range e.tensors {
		if s.kind != matrix {
			continue
		}
		for i := 0; i < len(s.data); i += 4 {
			x := math.Float32frombits(binary.LittleEndian.Uint32(s.data[i:]))
			binary.LittleEndian.PutUint32(s.data[i:], math.Float32bits(10*x))
		}
	}
	return e
}

func newProbe(t testing.TB, cfg Config, classes, batch int) *Probe {
	t.Helper()
	p, err := NewProbe(testDevice(t), cfg, ProbeConfig{Classes: classes, Batch: batch, LR: 3e-3}, strongEncoder(t, cfg), 7)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// labelled draws n images of noise and their classes.
func labelled(cfg Config, n, classes int, at uint64) (images []byte, labels []int32) {
	s := draw.New(1, "test images", at)
	images = make([]byte, n*cfg.Image*cfg.Image*3)
	for i := range n {
		labels = append(labels, int32(s.IntN(classes)))
		bright := s.IntN(256)
		for j := range cfg.Image * cfg.Image * 3 {
			images[i*cfg.Image*cfg.Image*3+j] = byte((bright + s.IntN(128)) % 256)
		}
	}
	return images, labels
}

// probeState reads the arrays of a probe's state by name.
func probeState(t testing.TB, p *Probe) map[string][]float32 {
	t.Helper()
	arrays := map[string][]float32{}
	for _, file := range probeFiles(t, p) {
		entries, _ := safetensorsHeader(t, bytes.NewReader(file))
		data := file[8+binary.LittleEndian.Uint64(file):]
		for name, e := range entries {
			for at := e.Offsets[0]; at < e.Offsets[1]; at += 4 {
				arrays[name] = append(arrays[name], math.Float32frombits(binary.LittleEndian.Uint32(data[at:])))
			}
		}
	}
	return arrays
}

// probeFiles writes the parts of a probe.
func probeFiles(t testing.TB, p *Probe) map[string][]byte {
	t.Helper()
	parts, err := p.Parts()
	if err != nil {
		t.Fatal(err)
	}
	written := map[string][]byte{}
	for _, part := range parts {
		var b bytes.Buffer
		if err := part.Write(&b); err != nil {
			t.Fatal(err)
		}
		if int64(b.Len()) != part.Size {
			t.Errorf("%s has %d bytes and says %d", part.Name, b.Len(), part.Size)
		}
		written[part.Name] = b.Bytes()
	}
	return written
}

func TestProbeIsInitialisedAsPyTorchsLinear(t *testing.T) {
	cfg := probeConfig(1, 3)
	p := newProbe(t, cfg, 50, 4)
	state := probeState(t, p)
	for row := range cfg.Depths {
		for _, name := range []string{"weight", "bias"} {
			name := fmt.Sprintf("probe.heads.%d.%s", row, name)
			x := state[name]
			var largest, sum float64
			for _, v := range x {
				largest = max(largest, math.Abs(float64(v)))
				sum += float64(v) * float64(v)
			}
			// A uniform number in +-1/4 has the variance 1/48.
			if variance := sum / float64(len(x)); largest > 0.25 || largest < 0.22 || math.Abs(variance*48-1) > 0.4 {
				t.Errorf("%s: %d values up to %v of variance %v", name, len(x), largest, variance)
			}
			for _, moment := range []string{firstMoment, secondMoment} {
				if m := state[moment+name]; len(m) != len(x) || slices.Max(m) != 0 || slices.Min(m) != 0 {
					t.Errorf("%s%s does not begin at zero", moment, name)
				}
			}
		}
	}
	if slices.Equal(state["probe.heads.0.weight"], state["probe.heads.1.weight"]) {
		t.Error("two depths begin alike")
	}
	// The initial head of a depth does not depend on the other depths.
	alone := probeState(t, newProbe(t, probeConfig(3), 50, 4))
	if !slices.Equal(alone["probe.heads.0.weight"], state["probe.heads.1.weight"]) || !slices.Equal(alone["probe.heads.0.bias"], state["probe.heads.1.bias"]) {
		t.Error("depth 3 alone begins otherwise than beside depth 1")
	}
}

// plainHead is one depth's linear layer with PyTorch's AdamW without decay, in plain float64 loops.
type plainHead struct {
	classes, width int
	w, m, v        []float64 // weights [classes, width], then biases [classes]
	updates        float64
}

func (h *plainHead) logits(x []float32) []float64 {
	y := make([]float64, h.classes)
	for c := range y {
		y[c] = h.w[h.classes*h.width+c]
		for i, f := range x {
			y[c] += h.w[c*h.width+i] * float64(f)
		}
	}
	return y
}

// step makes an update on features [n, width] and returns the mean loss before it.
func (h *plainHead) step(features [][]float32, labels []int32, rate float64) float64 {
	gradient := make([]float64, len(h.w))
	loss := 0.0
	n := float64(len(labels))
	for k, x := range features {
		y := h.logits(x)
		sum := 0.0
		for _, v := range y {
			sum += math.Exp(v)
		}
		loss += (math.Log(sum) - y[labels[k]]) / n
		for c, v := range y {
			d := math.Exp(v) / sum / n
			if c == int(labels[k]) {
				d -= 1 / n
			}
			for i, f := range x {
				gradient[c*h.width+i] += d * float64(f)
			}
			gradient[h.classes*h.width+c] += d
		}
	}
	h.updates++
	for i, g := range gradient {
		h.m[i] = 0.9*h.m[i] + 0.1*g
		h.v[i] = 0.999*h.v[i] + 0.001*g*g
		m := h.m[i] / (1 - math.Pow(0.9, h.updates))
		v := h.v[i] / (1 - math.Pow(0.999, h.updates))
		h.w[i] -= rate * m / (math.Sqrt(v) + 1e-8)
	}
	return loss
}

// Fifteen updates, some with partial batches, against softmax regression in plain Go on the same
// features: losses, weights and moments, then the counts of correct predictions.
func TestProbeTrainsAsPlainRegression(t *testing.T) { compareWithRegression(t, false) }

// TestWhitenedProbeTrainsAsPlainRegression on features that are whitened in plain Go.
func TestWhitenedProbeTrainsAsPlainRegression(t *testing.T) { compareWithRegression(t, true) }

func compareWithRegression(t *testing.T, whitened bool) {
	cfg := probeConfig(0, 1, 3)
	const classes, batch = 7, 6
	p := newProbe(t, cfg, classes, batch)
	white := make([]func([]float32) []float32, len(cfg.Depths)) // of each row
	for row := range white {
		white[row] = func(x []float32) []float32 { return x }
	}
	if whitened {
		var sample []float32
		for k := range 10 {
			images, _ := labelled(cfg, batch, classes, uint64(200+k))
			features, err := p.Features(images)
			if err != nil {
				t.Fatal(err)
			}
			sample = append(sample, features...)
		}
		if err := p.Whiten(sample); err != nil {
			t.Fatal(err)
		}
		for row := range white {
			white[row] = plainWhitening(t, sample, row, len(cfg.Depths), cfg.Width)
		}
	}
	begin := probeState(t, p)
	heads := make([]*plainHead, len(cfg.Depths))
	for row := range heads {
		h := &plainHead{classes: classes, width: cfg.Width}
		for _, name := range []string{"weight", "bias"} {
			for _, x := range begin[fmt.Sprintf("probe.heads.%d.%s", row, name)] {
				h.w = append(h.w, float64(x))
			}
		}
		h.m, h.v = make([]float64, len(h.w)), make([]float64, len(h.w))
		heads[row] = h
	}
	featuresOf := func(images []byte, row int) (features [][]float32) {
		all, err := p.Features(images)
		if err != nil {
			t.Fatal(err)
		}
		for image := range slices.Chunk(all, len(cfg.Depths)*cfg.Width) {
			features = append(features, white[row](image[row*cfg.Width:(row+1)*cfg.Width]))
		}
		return features
	}
	const updates = 15
	for k := range updates {
		n := batch
		if k%3 == 2 {
			n = 1 + k%batch
		}
		images, labels := labelled(cfg, n, classes, uint64(k))
		rate := p.LRAt(int64(k+1), updates)
		got, err := p.Step(images, labels, rate)
		if err != nil {
			t.Fatal(err)
		}
		for row, h := range heads {
			if want := h.step(featuresOf(images, row), labels, rate); math.Abs(got[row]-want) > 1e-5*want {
				t.Fatalf("update %d of %d images, row %d: loss %v, want %v", k, n, row, got[row], want)
			}
		}
	}
	end := probeState(t, p)
	for row, h := range heads {
		for prefix, want := range map[string][]float64{"": h.w, firstMoment: h.m, secondMoment: h.v} {
			name := fmt.Sprintf("%sprobe.heads.%d", prefix, row)
			got := slices.Concat(end[name+".weight"], end[name+".bias"])
			largest := 0.0
			for _, x := range want {
				largest = max(largest, math.Abs(x))
			}
			for i, x := range got {
				if math.Abs(float64(x)-want[i]) > 2e-5*largest {
					t.Fatalf("%s: value %d is %v, want %v", name, i, x, want[i])
				}
			}
		}
		if got := end[fmt.Sprintf("%sprobe.heads.%d.weight", stepCount, row)]; got[0] != updates {
			t.Errorf("row %d counts %v updates", row, got)
		}
	}
	for k := range 12 {
		n := 1 + k%batch
		images, labels := labelled(cfg, n, classes, uint64(100+k))
		got, err := p.Classify(images, labels)
		if err != nil {
			t.Fatal(err)
		}
		for row, h := range heads {
			var want classify.Answers
			for i, x := range featuresOf(images, row) {
				y := h.logits(x)
				before := int32(0)
				for _, v := range y {
					if v > y[labels[i]] {
						before++
					}
				}
				want.Append(classify.Answers{Classes: []int32{int32(slices.Index(y, slices.Max(y)))}, Ranks: []int32{before}})
			}
			if diff := cmp.Diff(want, got[row]); diff != "" {
				t.Errorf("%d images, row %d (-want +got):\n%s", n, row, diff)
			}
		}
	}
}

func TestAnswersOfTiesAndNaN(t *testing.T) {
	cfg := probeConfig(3)
	p := newProbe(t, cfg, 7, 7)
	images, _ := labelled(cfg, 1, 7, 0)
	images = bytes.Repeat(images, 7)
	labels := []int32{0, 1, 2, 3, 4, 5, 6}
	// bias[c] with weights of zero are the logits.
	set := func(bias [7]float32) {
		t.Helper()
		file := probeFiles(t, p)["probe.safetensors"]
		entries, _ := safetensorsHeader(t, bytes.NewReader(file))
		data := file[8+binary.LittleEndian.Uint64(file):]
		weight := entries["probe.heads.0.weight"].Offsets
		clear(data[weight[0]:weight[1]])
		for c, x := range bias {
			binary.LittleEndian.PutUint32(data[int(entries["probe.heads.0.bias"].Offsets[0])+4*c:], math.Float32bits(x))
		}
		if err := p.Load(opener(map[string][]byte{"probe.safetensors": file})); err != nil {
			t.Fatal(err)
		}
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		name  string
		bias  [7]float32
		class int32    // that ranks first; 7: none
		ranks [7]int32 // of each class, where it is the label
	}{
		{"distinct", [7]float32{1, 2, 3, 4, 5, 6, 7}, 6, [7]int32{6, 5, 4, 3, 2, 1, 0}},
		{"all alike: the lower first", [7]float32{}, 0, [7]int32{0, 1, 2, 3, 4, 5, 6}},
		{"two on top", [7]float32{0, 9, 1, 9, 0, 0, 0}, 1, [7]int32{3, 0, 2, 1, 4, 5, 6}},
		{"infinite", [7]float32{-inf, inf, 1, inf, -inf, 0, 0}, 1, [7]int32{5, 0, 2, 1, 6, 3, 4}},
		{"no numbers are never right", [7]float32{nan, nan, nan, nan, nan, nan, nan}, 7, [7]int32{7, 7, 7, 7, 7, 7, 7}},
		{"one is no number", [7]float32{1, nan, 3, 4, 5, 6, 7}, 7, [7]int32{6, 7, 5, 4, 3, 2, 1}},
	} {
		set(c.bias)
		got, err := p.Classify(images, labels)
		if err != nil {
			t.Fatal(err)
		}
		want := []classify.Answers{{Classes: slices.Repeat([]int32{c.class}, 7), Ranks: c.ranks[:]}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// The logits of every depth, against the definition.
func TestProbeLogitsAgainstPlainLoops(t *testing.T) {
	const depths, images, classes, width = 2, 3, 4, 5
	s := draw.New(1, "test")
	values := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(s.Normal())
		}
		return x
	}
	x, w, b := values(images*depths*width), values(depths*classes*width), values(depths*classes)
	program, err := graph.NewExec(testDevice(t).backend, logits)
	if err != nil {
		t.Fatal(err)
	}
	y, err := program.Call1(
		tensors.FromFlatDataAndDimensions(x, images, depths, width),
		tensors.FromFlatDataAndDimensions(w, depths, classes, width),
		tensors.FromFlatDataAndDimensions(b, depths, classes))
	if err != nil {
		t.Fatal(err)
	}
	got, err := tensors.CopyFlatData[float32](y)
	if err != nil || len(got) != depths*images*classes {
		t.Fatalf("%d logits, %v", len(got), err)
	}
	for d := range depths {
		for i := range images {
			for c := range classes {
				want := float64(b[d*classes+c])
				for j := range width {
					want += float64(w[(d*classes+c)*width+j]) * float64(x[(i*depths+d)*width+j])
				}
				if g := float64(got[(d*images+i)*classes+c]); math.Abs(g-want) > 1e-5 {
					t.Errorf("depth %d, image %d, class %d: %v, want %v", d, i, c, g, want)
				}
			}
		}
	}
}

// tokens are the outputs of every collected depth: [B, N, D] each.
func tokens(t testing.TB, p *Probe, images []byte) (hidden [][]float32) {
	t.Helper()
	n := len(images) / (p.Image * p.Image * 3)
	program, err := graph.NewExec(p.device.backend, func(nodes []*graph.Node) (out []*graph.Node) {
		all := p.encode(newParams(p.encoderArrays(), nodes[1:]), p.patches(nodes[0]), nil)
		for _, depth := range p.Depths {
			out = append(out, all[depth])
		}
		return out
	})
	if err != nil {
		t.Fatal(err)
	}
	arguments := []any{tensors.FromFlatDataAndDimensions(images, n, p.Image, p.Image, 3)}
	for _, w := range p.encoder {
		arguments = append(arguments, w)
	}
	outputs, err := program.Call(arguments...)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range outputs {
		flat, err := tensors.CopyFlatData[float32](o)
		if err != nil {
			t.Fatal(err)
		}
		hidden = append(hidden, flat)
	}
	return hidden
}

// Features are the means of the encoder's tokens, also in a partial batch.
func TestProbeFeaturesAreMeansOfTokens(t *testing.T) {
	cfg := probeConfig(0, 1, 3)
	p := newProbe(t, cfg, 3, 5)
	const n = 4
	images, _ := labelled(cfg, n, 3, 0)
	features, err := p.Features(images)
	if err != nil {
		t.Fatal(err)
	}
	if len(features) != n*3*cfg.Width {
		t.Fatalf("%d features", len(features))
	}
	for row, hidden := range tokens(t, p, images) {
		for i := range n {
			for f := range cfg.Width {
				want := 0.0
				for token := range cfg.tokens() {
					want += float64(hidden[(i*cfg.tokens()+token)*cfg.Width+f]) / float64(cfg.tokens())
				}
				if got := float64(features[(i*3+row)*cfg.Width+f]); math.Abs(got-want) > 1e-5*(1+math.Abs(want)) {
					t.Fatalf("row %d, image %d, feature %d: %v, want %v", row, i, f, got, want)
				}
			}
		}
	}
}

// Six updates equal three, a save and a load into another probe, and three more: to the bit.
func TestProbeResumesBitExact(t *testing.T) {
	cfg := probeConfig(0, 3)
	const classes, batch, updates = 5, 4, 6
	step := func(p *Probe, k int) []float64 {
		t.Helper()
		images, labels := labelled(cfg, batch-k%2, classes, uint64(k))
		loss, err := p.Step(images, labels, p.LRAt(int64(k+1), updates))
		if err != nil {
			t.Fatal(err)
		}
		return loss
	}
	whole, first, second := newProbe(t, cfg, classes, batch), newProbe(t, cfg, classes, batch), newProbe(t, cfg, classes, batch)
	var losses, resumed [][]float64
	for k := range updates {
		losses = append(losses, step(whole, k))
	}
	for k := range updates / 2 {
		resumed = append(resumed, step(first, k))
	}
	step(second, 5) // what it held before does not matter
	stored := probeFiles(t, first)
	step(first, 3) // nor what the first one did afterwards
	if err := second.Load(opener(stored)); err != nil {
		t.Fatal(err)
	}
	for k := updates / 2; k < updates; k++ {
		resumed = append(resumed, step(second, k))
	}
	if diff := cmp.Diff(losses, resumed); diff != "" {
		t.Errorf("losses (-whole +resumed):\n%s", diff)
	}
	if diff := cmp.Diff(probeFiles(t, whole), probeFiles(t, second)); diff != "" {
		t.Error("the states differ")
	}
}

// A part that cannot be read leaves the probe as it was.
func TestProbeLoadTakesAllOrNothing(t *testing.T) {
	cfg := probeConfig(3)
	p := newProbe(t, cfg, 5, 2)
	before := probeFiles(t, p)
	whole := before["probe.safetensors"]
	other := probeFiles(t, newProbe(t, cfg, 6, 2))
	for name, parts := range map[string]map[string][]byte{
		"missing":       {},
		"empty":         {"probe.safetensors": nil},
		"short":         {"probe.safetensors": whole[:len(whole)-1]},
		"long":          {"probe.safetensors": append(slices.Clone(whole), 0)},
		"other classes": other,
	} {
		if err := p.Load(opener(parts)); err == nil {
			t.Errorf("%s: no error", name)
		}
		if diff := cmp.Diff(before, probeFiles(t, p)); diff != "" {
			t.Errorf("%s: the state changed", name)
		}
	}
}

// The encoder is frozen: its features are the same to the bit whatever the heads learn.
func TestProbeLeavesTheEncoder(t *testing.T) {
	cfg := probeConfig(1, 3)
	p := newProbe(t, cfg, 5, 4)
	images, labels := labelled(cfg, 4, 5, 0)
	before, err := p.Features(images)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := p.Step(images, labels, 0.1); err != nil {
			t.Fatal(err)
		}
	}
	after, err := p.Features(images)
	if err != nil || !slices.Equal(before, after) {
		t.Errorf("the features moved (%v)", err)
	}
}

func TestProbeFeaturesInBFloat16AreNear(t *testing.T) {
	cfg := probeConfig(0, 3)
	images, labels := labelled(cfg, 4, 5, 0)
	wide, err := newProbe(t, cfg, 5, 4).Features(images)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Precision = BFloat16
	p := newProbe(t, cfg, 5, 4)
	bf16, err := p.Features(images)
	if err != nil {
		t.Fatal(err)
	}
	var square, far float64
	for i, x := range wide {
		square += float64(x * x)
		far += math.Pow(float64(x-bf16[i]), 2)
	}
	if r := math.Sqrt(far / square); r == 0 || r > 0.02 {
		t.Errorf("features in bfloat16 differ by %.4f of their size", r)
	}
	if loss, err := p.Step(images, labels, 1e-3); err != nil || !(loss[1] > 0) {
		t.Errorf("loss %v, %v", loss, err)
	}
}

// A failure of the device loses the heads. The probe reports that until Load, and then goes on.
func TestProbeAfterAFailure(t *testing.T) {
	cfg := probeConfig(3)
	p, whole := newProbe(t, cfg, 5, 4), newProbe(t, cfg, 5, 4)
	stored := probeFiles(t, p)
	images, labels := labelled(cfg, 4, 5, 0)
	if err := p.heads.m[0].FinalizeAll(); err != nil {
		t.Fatal(err)
	}
	for try := range 2 {
		if _, err := p.Step(images, labels, 1e-3); err == nil {
			t.Fatalf("try %d: a step without its state", try)
		}
	}
	if _, err := p.Parts(); err == nil {
		t.Error("a lost state was copied")
	}
	if err := p.Load(opener(stored)); err != nil {
		t.Fatal(err)
	}
	got, err := p.Step(images, labels, 1e-3)
	if err != nil {
		t.Fatal(err)
	}
	want, err := whole.Step(images, labels, 1e-3)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("loss %v after the failure, %v without it (%v)", got, want, err)
	}
}

// plainWhitening is the map of one row of a sample's features [n, rows, width], applied in plain
// loops.
func plainWhitening(t *testing.T, sample []float32, row, rows, width int) func([]float32) []float32 {
	var features []float32
	for image := range slices.Chunk(sample, rows*width) {
		features = append(features, image[row*width:(row+1)*width]...)
	}
	mean, matrix, err := classify.Whitening(features, width)
	if err != nil {
		t.Fatal(err)
	}
	return func(x []float32) []float32 {
		y := make([]float32, width)
		for f := range y {
			sum := 0.0
			for i := range x {
				sum += float64(matrix[f*width+i]) * float64(x[i]-mean[i])
			}
			y[f] = float32(sum)
		}
		return y
	}
}

// TestProbeRefusesToWhiten by one image, by parts of images, and by features that are not finite.
func TestProbeRefusesToWhiten(t *testing.T) {
	cfg := probeConfig(1, 3)
	p := newProbe(t, cfg, 3, 2)
	size := len(cfg.Depths) * cfg.Width
	infinite := make([]float32, 3*size)
	infinite[size] = float32(math.Inf(1))
	for name, sample := range map[string][]float32{
		"one image": make([]float32, size), "half an image": make([]float32, 2*size+1), "not finite": infinite,
	} {
		if err := p.Whiten(sample); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestProbeRejectsBadInput(t *testing.T) {
	cfg := probeConfig(3)
	d, e := testDevice(t), strongEncoder(t, cfg)
	for name, c := range map[string]struct {
		change func(*Config)
		probe  ProbeConfig
	}{
		"no classes":      {nil, ProbeConfig{Classes: 0, Batch: 1}},
		"no batch":        {nil, ProbeConfig{Classes: 2, Batch: 0}},
		"bad heads":       {func(c *Config) { c.Heads = 3 }, ProbeConfig{Classes: 2, Batch: 1}},
		"another encoder": {func(c *Config) { c.Width = 32 }, ProbeConfig{Classes: 2, Batch: 1}},
	} {
		cfg := cfg
		if c.change != nil {
			c.change(&cfg)
		}
		if _, err := NewProbe(d, cfg, c.probe, e, 1); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	p := newProbe(t, cfg, 3, 2)
	images, labels := labelled(cfg, 3, 3, 0)
	size := cfg.Image * cfg.Image * 3
	for name, c := range map[string]struct {
		images []byte
		labels []int32
	}{
		"no images":       {nil, nil},
		"too many images": {images, labels},
		"half an image":   {images[:size/2], labels[:1]},
		"labels missing":  {images[:2*size], labels[:1]},
		"label too high":  {images[:size], []int32{3}},
		"label negative":  {images[:size], []int32{-1}},
	} {
		if _, err := p.Step(c.images, c.labels, 1e-3); err == nil {
			t.Errorf("%s: Step returned no error", name)
		}
		if _, err := p.Classify(c.images, c.labels); err == nil {
			t.Errorf("%s: Classify returned no error", name)
		}
	}
	if _, err := p.Step(images[:size], labels[:1], 1e-3); err != nil {
		t.Errorf("after refused batches: %v", err)
	}
}

func TestProbeLRFallsLinearly(t *testing.T) {
	c := ProbeConfig{LR: 3e-3}
	for update, want := range map[int64]float64{1: 3e-3, 51: 1.5e-3, 100: 3e-5} {
		if got := c.LRAt(update, 100); math.Abs(got-want) > 1e-12 {
			t.Errorf("rate of update %d of 100 is %v, want %v", update, got, want)
		}
	}
}

// The heads of all depths cost at most 1.3 times what one costs, in CPU time, which other processes
// do not take. The least of several alternating steps counts.
func TestProbeOfAllDepthsCostsLittle(t *testing.T) {
	const classes, batch = 100, 16
	one, all := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	step := func(depths ...int) func(least *time.Duration) {
		cfg := probeConfig(depths...)
		cfg.Image, cfg.Width, cfg.Depth, cfg.Heads, cfg.MLPRatio = 32, 64, 6, 4, 4
		p := newProbe(t, cfg, classes, batch)
		images, labels := labelled(cfg, batch, classes, 0)
		return func(least *time.Duration) {
			begin := cpuTime(t)
			if _, err := p.Step(images, labels, 1e-3); err != nil {
				t.Fatal(err)
			}
			*least = min(*least, cpuTime(t)-begin)
		}
	}
	few, many := step(5), step(0, 1, 2, 3, 4, 5)
	for range 5 {
		few(&one)
		many(&all)
	}
	ratio := all.Seconds() / one.Seconds()
	t.Logf("one depth %v, six %v: %.2f times", one, all, ratio)
	if ratio > 1.3 {
		t.Errorf("six depths cost %.2f times what one costs", ratio)
	}
}
