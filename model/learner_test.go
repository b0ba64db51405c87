package model

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/model/draw"
	"github.com/cijepa/cijepa/model/mask"
)

// tiny is a configuration whose steps take milliseconds.
func tiny() Config {
	half, most := 0.5, 0.8
	return Config{
		Image: 16, Patch: 4, Width: 16, Depth: 4, Heads: 2, MLPRatio: 2,
		PredictorWidth: 8, PredictorDepth: 2, PredictorHeads: 1, RopeTheta: 10000,
		Depths: []int{0, 1, 2, 3}, AllToLastWeight: &half, LastToLastWeight: &most, IntermediateRows: 2, TargetNorm: true,
		Masks: mask.Default(), Batch: 4, Precision: Float32, WeightDecay: 0.05,
	}
}

// tinyLengths are the context and target lengths of tests.
var tinyLengths = []mask.Shape{{Target: 3, Context: 6}, {Target: 4, Context: 5}}

// pixels are images that differ from each other, and from step to step.
func pixels(c Config, step int64) []byte {
	stream := draw.New(7, "pixels", uint64(step))
	images := make([]byte, c.Batch*c.Image*c.Image*3)
	for i := range images {
		images[i] = byte(stream.IntN(256))
	}
	return images
}

// scattered are masks of random cells, of the given lengths.
func scattered(c Config, s mask.Shape, step int64) mask.Masks {
	m := mask.Masks{B: c.Batch, C: s.Context, M: c.Masks.TargetBlocks, K: s.Target}
	stream := draw.New(7, "places", uint64(step))
	pick := func(n int) (cells []int32) {
		for _, cell := range stream.Perm(c.tokens())[:n] {
			cells = append(cells, int32(cell))
		}
		slices.Sort(cells)
		return cells
	}
	for range m.B {
		m.Context = append(m.Context, pick(m.C)...)
		for range m.M {
			m.Targets = append(m.Targets, pick(m.K)...)
		}
	}
	return m
}

// stepInput is the whole input of a step.
func stepInput(t testing.TB, l *Learner, step int64) StepInput {
	t.Helper()
	images, err := l.Upload(pixels(l.Config, step))
	if err != nil {
		t.Fatal(err)
	}
	return StepInput{
		Images: images, Masks: scattered(l.Config, tinyLengths[step%2], step),
		Sources: SampleDepths(l.Depths, l.IntermediateRows, 7, step), LR: 1e-3, EMAMomentum: 0.99,
	}
}

func newTestLearner(t testing.TB, c Config) *Learner {
	t.Helper()
	l, err := NewLearner(testDevice(t), c, 1)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func take(t testing.TB, l *Learner, in StepInput) StepOutput {
	t.Helper()
	out, err := l.Step(in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// stateFiles are the bytes of every part of the state.
func stateFiles(t testing.TB, l *Learner) map[string][]byte {
	t.Helper()
	s, err := l.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, p := range s {
		var file bytes.Buffer
		if err := p.Write(&file); err != nil {
			t.Fatal(err)
		}
		all[p.Name] = file.Bytes()
	}
	return all
}

func opener(files map[string][]byte) func(string) (io.ReadCloser, error) {
	return func(part string) (io.ReadCloser, error) {
		file, ok := files[part]
		if !ok {
			return nil, fmt.Errorf("no part %s", part)
		}
		return io.NopCloser(bytes.NewReader(file)), nil
	}
}

// In 60 steps all pairs of depths and two mask shapes occur, and one program is compiled for each
// shape. In every step the sampled pathways change, and the others stay the same to the bit.
func TestOneProgramServesAllDepths(t *testing.T) {
	l := newTestLearner(t, tiny())
	pairs := map[string]bool{}
	before := stateFiles(t, l)
	for step := range int64(60) {
		in := stepInput(t, l, step)
		pairs[fmt.Sprint(in.Sources)] = true
		take(t, l, in)
		after := stateFiles(t, l)
		for name := range before {
			touched := !strings.HasPrefix(name, "predictor")
			for _, s := range in.Sources {
				touched = touched || name == fmt.Sprintf("predictor-%02d.safetensors", s)
			}
			if changed := !bytes.Equal(before[name], after[name]); changed != touched {
				t.Fatalf("step %d of sources %v: %s changed is %v", step, in.Sources, name, changed)
			}
		}
		before = after
	}
	if want := 3; len(pairs) != want {
		t.Errorf("%d choices of depths occurred, want %d", len(pairs), want)
	}
	if l.Inspect().Programs != len(tinyLengths) {
		t.Errorf("%d programs were compiled for %d mask shapes", l.Inspect().Programs, len(tinyLengths))
	}
}

// The program of a baseline has no inputs for other pathways: it is smaller, not masked.
func TestBaselineHasOneSlot(t *testing.T) {
	c := tiny()
	c.Depths, c.IntermediateRows = []int{3}, 0
	l := newTestLearner(t, c)
	s := programShape{context: 6, target: 3, blocks: 4}
	full := newTestLearner(t, tiny())
	if got, want := len(l.stepShapes(s)), len(full.stepShapes(s)); got >= want {
		t.Errorf("the baseline's program takes %d arrays, the hierarchy's %d", got, want)
	}
	for _, shape := range l.stepShapes(s) {
		if shape.Size() == 0 {
			t.Errorf("an input of no elements: %s", shape)
		}
	}
	out := take(t, l, stepInput(t, l, 0))
	if len(out.Table) != 1 || len(out.Table[0]) != 1 || out.Table[0][0] != out.Loss {
		t.Errorf("the table %v of one problem and the loss %g", out.Table, out.Loss)
	}
	// Targets have variance 1, and the untrained head hardly adds to it.
	if math.Abs(out.Loss-1) > 0.05 {
		t.Errorf("the first loss is %g, not near 1", out.Loss)
	}
}

// Steps in micro-batches equal steps in one piece, and their programs are compiled once.
func TestMicroBatchesEqualOnePiece(t *testing.T) {
	for _, micro := range []int{1, 2} {
		c := tiny()
		whole := newTestLearner(t, c)
		c.MicroBatch = micro
		parts := newTestLearner(t, c)
		for step := range int64(4) {
			want, got := take(t, whole, stepInput(t, whole, step)), take(t, parts, stepInput(t, parts, step))
			if math.Abs(got.Loss-want.Loss) > 1e-6 {
				t.Errorf("micro-batches of %d, step %d: loss %g, want %g", micro, step, got.Loss, want.Loss)
			}
			if step == 0 {
				// Before Adam's quotients have amplified rounding errors.
				compareMoments(t, parts, whole)
			}
		}
		if want := len(tinyLengths) + 1; parts.Inspect().Programs != want {
			t.Errorf("%d programs for %d shapes, want %d: gradients of each, and one update", parts.Inspect().Programs, len(tinyLengths), want)
		}
	}
}

// compareMoments compares the first moments, which after one step are a tenth of the gradients.
func compareMoments(t *testing.T, got, want *Learner) {
	t.Helper()
	a, err := got.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	b, err := want.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	x, y := parse(t, a), parse(t, b)
	for name := range y {
		if strings.HasPrefix(name, firstMoment) {
			if worst, _ := compare(t, name, x[name], y[name], 1e-5); worst > 1e-5 {
				t.Errorf("%s differs by %.3g of its largest value", name, worst)
			}
		}
	}
}

// Activation checkpointing changes no result.
func TestRematIsTheSameStep(t *testing.T) {
	c := tiny()
	plain := newTestLearner(t, c)
	c.Remat = true
	again := newTestLearner(t, c)
	for step := range int64(3) {
		want, got := take(t, plain, stepInput(t, plain, step)), take(t, again, stepInput(t, again, step))
		if math.Abs(got.Loss-want.Loss) > 1e-6 {
			t.Errorf("step %d: loss %g, want %g", step, got.Loss, want.Loss)
		}
		if step == 0 {
			compareMoments(t, again, plain)
		}
	}
}

// A gradient that is not finite skips the step: the whole state, step counts included, stays the
// same to the bit.
func TestSkippedStepChangesNothing(t *testing.T) {
	for _, poisoned := range []struct {
		micro int
		value float64
	}{{0, math.NaN()}, {0, math.Inf(1)}, {2, math.NaN()}, {2, math.Inf(-1)}} {
		c := tiny()
		c.MicroBatch = poisoned.micro
		l := newTestLearner(t, c)
		take(t, l, stepInput(t, l, 0))
		good := stateFiles(t, l)
		poison := stepInput(t, l, 1)
		broken := l.predictors[poison.Sources[0]]
		bias, err := l.device.download(broken.params[1])
		if err != nil {
			t.Fatal(err)
		}
		copy(bias, float32s([]float64{poisoned.value}))
		if broken.params[1], err = l.device.upload(bias, broken.arrays[1].shape()); err != nil {
			t.Fatal(err)
		}
		before := stateFiles(t, l)
		out := take(t, l, poison)
		if !out.Skipped {
			t.Fatalf("a step with %g in it was not skipped: %+v", poisoned.value, out)
		}
		after := stateFiles(t, l)
		for name := range before {
			if !bytes.Equal(before[name], after[name]) {
				t.Errorf("micro-batches of %d, %g: %s changed", poisoned.micro, poisoned.value, name)
			}
		}
		// The accumulated gradients of a skipped step do not reach the next one.
		if err := l.Load(opener(good)); err != nil {
			t.Fatal(err)
		}
		if out := take(t, l, stepInput(t, l, 1)); out.Skipped || math.IsNaN(out.Loss) {
			t.Errorf("the step after a skipped one: %+v", out)
		}
	}
}

// n steps equal k steps, a snapshot, a load into another learner of another seed, and n-k steps:
// losses and state, to the bit.
func TestResumeIsBitExact(t *testing.T) {
	const n, k = 6, 3
	whole, first := newTestLearner(t, tiny()), newTestLearner(t, tiny())
	second, err := NewLearner(testDevice(t), tiny(), 99)
	if err != nil {
		t.Fatal(err)
	}
	for step := range int64(n) {
		l := first
		if step >= k {
			l = second
		}
		if step == k {
			if err := second.Load(opener(stateFiles(t, first))); err != nil {
				t.Fatal(err)
			}
		}
		want, got := take(t, whole, stepInput(t, whole, step)), take(t, l, stepInput(t, l, step))
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("step %d: %+v, want %+v", step, got, want)
		}
	}
	want, got := stateFiles(t, whole), stateFiles(t, second)
	for name := range want {
		if !bytes.Equal(got[name], want[name]) {
			t.Errorf("%s differs", name)
		}
	}
}

// Bad input is an error that names its field, and changes nothing.
func TestStepRejectsBadInput(t *testing.T) {
	l := newTestLearner(t, tiny())
	before := stateFiles(t, l)
	for field, spoil := range map[string]func(*StepInput){
		"Images":  func(in *StepInput) { in.Images = nil },
		"Sources": func(in *StepInput) { in.Sources = []int{0, 1} },
		"Masks":   func(in *StepInput) { in.Masks.Context[3] = 16 },
	} {
		in := stepInput(t, l, 0)
		spoil(&in)
		_, err := l.Step(in)
		var fault *mask.FieldError
		if !errors.As(err, &fault) || fault.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, sources := range [][]int{{0, 0, 3}, {1, 0, 3}, {0, 3, 2}, {0, 1, 2}, {0, 1, 4}, {0, 1, 2, 3}} {
		in := stepInput(t, l, 0)
		in.Sources = sources
		if _, err := l.Step(in); err == nil {
			t.Errorf("sources %v were taken", sources)
		}
	}
	used := stepInput(t, l, 0)
	take(t, l, used)
	if err := l.Load(opener(before)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Step(used); err == nil {
		t.Error("the images of an earlier step were taken")
	}
	if _, err := l.Upload(make([]byte, 5)); err == nil {
		t.Error("five bytes were taken for images")
	}
	if err := l.Compile(mask.Shape{Target: 17, Context: 5}); err == nil {
		t.Error("targets of more tokens than the grid has were compiled")
	}
	after := stateFiles(t, l)
	for name := range before {
		if !bytes.Equal(before[name], after[name]) {
			t.Errorf("%s changed", name)
		}
	}
}

// When the device fails in a step, the state is gone. The learner reports that until Load.
func TestLostStateIsLoadedAgain(t *testing.T) {
	for _, micro := range []int{0, 2} {
		c := tiny()
		c.MicroBatch = micro
		l := newTestLearner(t, c)
		take(t, l, stepInput(t, l, 0))
		good := stateFiles(t, l)
		want := take(t, l, stepInput(t, l, 1))
		if err := l.student.v[3].FinalizeAll(); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Step(stepInput(t, l, 2)); err == nil {
			t.Fatal("a step was taken with an array missing")
		}
		if _, err := l.Step(stepInput(t, l, 2)); err == nil || !strings.Contains(err.Error(), "lost") {
			t.Errorf("a step after a failed one: %v", err)
		}
		if _, err := l.Snapshot(); err == nil {
			t.Error("a lost state was copied")
		}
		if _, err := l.Encoder(); err == nil {
			t.Error("the teacher of a lost state was copied")
		}
		if err := l.Load(opener(good)); err != nil {
			t.Fatal(err)
		}
		if got := take(t, l, stepInput(t, l, 1)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("micro-batches of %d: %+v after loading, want %+v", micro, got, want)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := l.Step(StepInput{}); err == nil {
			t.Error("a step was taken by a closed learner")
		}
	}
}

// The next images are uploaded while a step runs. (The race detector watches.)
func TestUploadBesideStep(t *testing.T) {
	l := newTestLearner(t, tiny())
	next := stepInput(t, l, 0)
	for step := range int64(4) {
		images := make(chan *Images, 1)
		go func() {
			defer close(images)
			uploaded, err := l.Upload(pixels(l.Config, step+1))
			if err != nil {
				t.Error(err)
				return
			}
			images <- uploaded
		}()
		take(t, l, next)
		next.Images = <-images
		next.Masks = scattered(l.Config, tinyLengths[(step+1)%2], step+1)
	}
	if err := next.Images.Free(); err != nil {
		t.Error(err)
	}
}

// The Go backend gives the same bits whether or not it runs operations in parallel.
func TestParallelStepsAreTheSameBits(t *testing.T) {
	c := tiny()
	c.Width, c.Batch = 64, 16 // large enough for products to be cut up
	state := func(device string) map[string][]byte {
		d, err := DeviceOptions{}.Open(device)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		l, err := NewLearner(d, c, 1)
		if err != nil {
			t.Fatal(err)
		}
		for step := range int64(3) {
			take(t, l, stepInput(t, l, step))
		}
		return stateFiles(t, l)
	}
	want := state("go:ops_sequential")
	for range 2 {
		got := state("go:parallelism=64")
		for name := range want {
			if !bytes.Equal(got[name], want[name]) {
				t.Errorf("%s differs", name)
			}
		}
	}
}

// A blank learner has no state until it loads one.
func TestBlankLearnerLoads(t *testing.T) {
	for _, micro := range []int{0, 1} {
		c := tiny()
		c.MicroBatch = micro
		want := newTestLearner(t, c)
		take(t, want, stepInput(t, want, 0))
		blank, err := BlankLearner(want.device, c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := blank.Step(stepInput(t, blank, 1)); err == nil || !strings.Contains(err.Error(), "none was loaded") {
			t.Errorf("a step without a state: %v", err)
		}
		if _, err := blank.Snapshot(); err == nil {
			t.Error("a snapshot of no state")
		}
		if err := blank.Load(opener(stateFiles(t, want))); err != nil {
			t.Fatal(err)
		}
		a, b := take(t, want, stepInput(t, want, 1)), take(t, blank, stepInput(t, blank, 1))
		if a.Loss != b.Loss {
			t.Errorf("loss %g, of the other %g", b.Loss, a.Loss)
		}
		if err := blank.Close(); err != nil {
			t.Error(err)
		}
	}
}
