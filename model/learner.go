package model

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/cijepa/cijepa/model/mask"
)

// Learner holds the state of a training run on a device and moves it by steps: student, teacher, a
// predictor for every collected depth, AdamW's moments and step counts. A step's result is a
// function of the state and the step's input. One goroutine at a time may use a Learner, but
// Upload, Compile and CompileSnapshot may run concurrently.
type Learner struct {
	network
	device   *Device
	programs *programs
	networks
	gradAccum []*tensors.Tensor // of the student, then of each slot; nil without micro-batches
	lost      error             // why the state is gone: a program failed after it had taken it
}

// StepInput is what a step depends on beside the state.
type StepInput struct {
	Images      *Images // of Config.Batch images; the step consumes them
	Masks       mask.Masks
	Sources     []int   // Config.Slots source depths, ascending, the deepest last (SampleDepths)
	LR          float64 // learning rate
	EMAMomentum float64 // of the teacher's average
}

// StepOutput is what a step measured, before its update.
type StepOutput struct {
	Loss    float64
	Table   [][]float64 // [R][L] MSE by source (StepInput.Sources) and target depth (Config.Depths)
	Skipped bool        // a gradient was not finite: the state is as before, step counts included
}

// NewLearner makes the initial state: weights drawn from the seed, a teacher equal to the student,
// moments of zero. A Config that Validate refuses fails before anything touches the device.
func NewLearner(d *Device, cfg Config, seed uint64) (l *Learner, err error) {
	defer recovered(&err, "making the learner")
	if l, err = newLearner(d, cfg); err != nil {
		return nil, err
	}
	if l.networks, err = newNetworks(d, cfg, seed); err != nil {
		return nil, err
	}
	if l.passes() > 1 {
		l.gradAccum, err = newGradAccum(d, cfg)
	}
	return l, err
}

// BlankLearner makes a learner without a state, for Load. A run that resumes saves the seconds that
// drawing the weights of a ViT-B/16 takes.
func BlankLearner(d *Device, cfg Config) (l *Learner, err error) {
	defer recovered(&err, "making the learner")
	if l, err = newLearner(d, cfg); err != nil {
		return nil, err
	}
	l.networks = makeNetworks(cfg, func(arrays []array) []*tensors.Tensor {
		return make([]*tensors.Tensor, len(arrays))
	})
	l.lost = errors.New("none was loaded yet")
	return l, nil
}

// newLearner makes a learner without networks.
func newLearner(d *Device, cfg Config) (*Learner, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.Depths = slices.Clone(cfg.Depths)
	l := &Learner{network: newNetwork(cfg, d), device: d}
	var err error
	l.programs, err = newPrograms(l.network, d)
	return l, err
}

// Close frees the state and the programs on the device. The learner must not be used any more.
func (l *Learner) Close() (err error) {
	defer recovered(&err, "closing the learner")
	err = l.freeState()
	l.programs.free()
	l.lost = errors.New("the learner is closed")
	return err
}

// Compile builds the program for steps of a mask shape ahead of its first use. Several shapes may
// be compiled at once.
func (l *Learner) Compile(s mask.Shape) error {
	return l.programs.compile(programShape{context: s.Context, target: s.Target, blocks: l.Masks.TargetBlocks})
}

// Inspect counts what the programs compiled so far consist of.
func (l *Learner) Inspect() Inspection {
	l.programs.mu.Lock()
	defer l.programs.mu.Unlock()
	found := l.programs.inspection
	found.Products = maps.Clone(found.Products)
	return found
}

// Step takes one step: the objective and its gradients, AdamW on the student and on the predictors
// of the sampled depths, then the teacher's average. Predictors that were not sampled are not
// touched. An input that does not fit fails before anything changes. After an error of the device
// the learner has no state until Load.
func (l *Learner) Step(in StepInput) (out StepOutput, err error) {
	defer recovered(&err, "step")
	if err := l.check(in); err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, in.Images.Free()) }()
	if l.lost != nil {
		return out, fmt.Errorf("step: the state was lost before: %w", l.lost)
	}
	m := in.Masks
	shape := programShape{context: m.C, target: m.K, blocks: m.M, floats: in.Images.floats}
	if err := l.programs.compile(shape); err != nil {
		return out, err
	}

	groups := []*paramGroup{l.student}
	for _, s := range in.Sources {
		groups = append(groups, l.predictors[s])
	}
	step := l.stepInOnePiece
	if l.passes() > 1 {
		step = l.stepInMicroBatches
	}
	table, finite, err := step(in, groups)
	if err != nil {
		l.lost = err
		return out, fmt.Errorf("step: %w", err)
	}
	if finite {
		for _, g := range groups {
			g.updates++
		}
	}
	last := len(table) - 1
	out = StepOutput{Loss: table[last], Skipped: !finite}
	for row := range slices.Chunk(table[:last], len(l.Depths)) {
		out.Table = append(out.Table, row)
	}
	return out, nil
}

// stepInOnePiece takes a step with one program. It returns the table followed by the loss, and
// whether the gradients were finite.
func (l *Learner) stepInOnePiece(in StepInput, groups []*paramGroup) (table []float64, finite bool, err error) {
	values := l.rowValues(in)
	maps.Copy(values, l.updateValues(in, groups))
	results, err := l.runStep(in, values, groups)
	if err != nil {
		return nil, false, err
	}
	last := len(results[0]) - 1
	return results[0][:last], results[0][last] == 1, nil
}

// stepInMicroBatches accumulates the gradients of all micro-batches, then applies one update.
func (l *Learner) stepInMicroBatches(in StepInput, groups []*paramGroup) (table []float64, finite bool, err error) {
	table = make([]float64, l.Slots()*len(l.Depths)+1)
	share := 1 / float64(l.passes())
	for pass := range l.passes() {
		values := l.rowValues(in)
		values[inputFirstPass], values[inputPassShare] = []float32{0}, []float32{float32(share)}
		if pass == 0 {
			values[inputFirstPass] = []float32{1}
		}
		results, err := l.runGrad(in, pass, values, groups)
		if err != nil {
			return nil, false, err
		}
		for i, x := range results[0] {
			table[i] += x * share
		}
	}
	results, err := l.runApply(l.updateValues(in, groups), groups)
	if err != nil {
		return nil, false, err
	}
	return table, results[0][0] == 1, nil
}

// rowValues are the loss weights of a step's rows, and one-hot vectors of their source depths.
func (l *Learner) rowValues(in StepInput) map[string][]float32 {
	var weights, oneHots []float32
	for _, s := range in.Sources {
		for _, w := range rowWeights(l.Depths, s, l.AllToLastWeight, l.LastToLastWeight) {
			weights = append(weights, float32(w))
		}
		if s != l.deepest() {
			oneHot := make([]float32, len(l.Depths)-1)
			oneHot[slices.Index(l.Depths, s)] = 1
			oneHots = append(oneHots, oneHot...)
		}
	}
	return map[string][]float32{inputLossWeights: weights, inputSources: oneHots}
}

// updateValues are the scalars of the next update of each network, and of the teacher's average.
func (l *Learner) updateValues(in StepInput, groups []*paramGroup) map[string][]float32 {
	var scalars []float32
	for _, g := range groups {
		s := adamWScalars(in.LR, l.WeightDecay, g.updates+1)
		scalars = append(scalars, s[:]...)
	}
	momentum := []float32{float32(in.EMAMomentum), float32(1 - in.EMAMomentum)}
	return map[string][]float32{inputAdamW: scalars, inputEMA: momentum}
}

// check rejects an input that does not fit the learner.
func (l *Learner) check(in StepInput) error {
	fault := func(field string, value any, format string, args ...any) error {
		return fmt.Errorf("step: %w", fieldError(field, value, format, args...))
	}
	if in.Images == nil || len(in.Images.microBatches) != l.passes() {
		return fault("Images", in.Images, "must come from Upload, and not from an earlier step")
	}
	m := in.Masks
	if m.B != l.Batch || m.C < 1 || m.M != l.Masks.TargetBlocks || m.K < 1 ||
		len(m.Context) != m.B*m.C || len(m.Targets) != m.B*m.M*m.K {
		return fault("Masks", [4]int{m.B, m.C, m.M, m.K}, "must be of %d images and %d target blocks",
			l.Batch, l.Masks.TargetBlocks)
	}
	for _, positions := range [][]int32{m.Context, m.Targets} {
		if slices.Min(positions) < 0 || slices.Max(positions) >= int32(l.tokens()) {
			return fault("Masks", slices.Max(positions), "must hold positions in 0..%d", l.tokens()-1)
		}
	}
	ascending := len(in.Sources) == l.Slots() && in.Sources[len(in.Sources)-1] == l.deepest()
	for i, s := range in.Sources {
		ascending = ascending && slices.Contains(l.Depths, s) && (i == 0 || in.Sources[i-1] < s)
	}
	if !ascending {
		return fault("Sources", in.Sources, "must be %d of the depths %v, ascending, the deepest last",
			l.Slots(), l.Depths)
	}
	return nil
}

// Images are the images of a step on the device, cut into micro-batches.
type Images struct {
	microBatches []*tensors.Tensor // [micro, S, S, 3] each
	floats       bool              // already normalised, as test vectors are; else bytes
}

// Upload copies the images of a step to the device: bytes [B, S, S, 3]. It may run concurrently
// with a Step.
func (l *Learner) Upload(images []byte) (out *Images, err error) {
	defer recovered(&err, "uploading images")
	return l.device.uploadImages(l.Config, images, dtypes.Uint8)
}

func (d *Device) uploadImages(c Config, images []byte, of dtypes.DType) (*Images, error) {
	shape := shapes.Make(of, c.micro(), c.Image, c.Image, 3)
	size := int(shape.ByteSize())
	if want := c.passes() * size; len(images) != want {
		return nil, fmt.Errorf("uploading images: %w", fieldError("Images", len(images),
			"must be %d bytes: %d images of %d x %d x 3", want, c.Batch, c.Image, c.Image))
	}
	out := &Images{floats: of != dtypes.Uint8}
	for part := range slices.Chunk(images, size) {
		t, err := tensors.FromRaw(d.backend, 0, shape, part)
		if err != nil {
			return nil, fmt.Errorf("uploading images: %w", errors.Join(err, out.Free()))
		}
		out.microBatches = append(out.microBatches, t)
	}
	return out, nil
}

// Free frees the device's memory if no step consumes the images. Further calls do nothing.
func (i *Images) Free() error {
	var errs []error
	for _, part := range i.microBatches {
		errs = append(errs, part.FinalizeAll())
	}
	i.microBatches = nil
	return errors.Join(errs...)
}

// freeState frees what is left of the state.
func (l *Learner) freeState() error {
	errs := []error{l.networks.free(l.Config)}
	for _, t := range l.gradAccum {
		errs = append(errs, t.FinalizeAll())
	}
	return errors.Join(errs...)
}
