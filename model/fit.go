package model

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gomlx/gomlx/core/tensors"
	"golang.org/x/sync/errgroup"

	"github.com/cijepa/cijepa/model/mask"
)

// MemoryError is a step that does not fit into the memory of its device.
type MemoryError struct {
	Need  int64 // bytes, by the compiler's plan
	Limit int64 // bytes that the device has
	Err   error // the device's, if the step was tried
}

// Error gives both numbers.
func (e *MemoryError) Error() string {
	text := fmt.Sprintf("a step takes %.2f GB of memory, and the device gives %.2f GB",
		float64(e.Need)/1e9, float64(e.Limit)/1e9)
	if e.Err != nil {
		text += fmt.Sprintf(": %v", e.Err)
	}
	return text
}

// Unwrap is the device's error.
func (e *MemoryError) Unwrap() error { return e.Err }

// Plan is the device memory, in bytes, while the most demanding of some steps runs.
type Plan struct {
	Need      int64 // all of it
	Temporary int64 // of Need: the block of a step's temporary arrays
	Workspace int64 // of cuDNN, by Config.Need; the compiler's plan may leave it out
}

// Roomy adds one more temporary block to Need, because fragmentation can stop the allocator from
// reusing the last step's block, and the workspace of cuDNN.
func (p Plan) Roomy() int64 { return p.Need + p.Temporary + p.Workspace }

// Try finds out whether steps of some mask shapes fit into the memory of the device, with the whole
// state of a run and a copy of it beside them. It compiles the steps in parallel and adds up what
// the compiler planned. If that fits, it takes a step of the first shape on a state of zeros,
// unless all programs came from the store: then an earlier process has taken such steps.
//
// It leaves nothing on the device. A step that does not fit is a *MemoryError. If the device does
// not report its memory, Try does nothing.
func Try(d *Device, cfg Config, shapes ...mask.Shape) (plan Plan, err error) {
	defer recovered(&err, "trying a step")
	have := d.Memory()
	if have == nil || have.Limit == 0 {
		return plan, nil
	}
	before := len(d.Compiled())
	l, err := newLearner(d, cfg)
	if err != nil {
		return plan, err
	}
	defer l.programs.free()
	var compiled errgroup.Group
	for _, s := range shapes {
		compiled.Go(func() error { return l.Compile(s) })
	}
	if err := compiled.Wait(); err != nil {
		return plan, outOfMemory(err, 0, have.Limit)
	}
	stored := true
	for _, p := range d.Compiled()[before:] {
		stored = stored && p.Stored
		if p.Memory != nil {
			plan.Need = max(plan.Need, p.Memory.Total()-p.Memory.Arguments)
			plan.Temporary = max(plan.Temporary, p.Memory.Temporary)
		}
	}
	resident := cfg.Need(shapes[0], cfg.Fused(d.name))
	plan.Need += resident.State + resident.Copy + resident.Sums + resident.Images
	plan.Workspace = resident.Workspace
	if plan.Need > have.Limit {
		return plan, &MemoryError{Need: plan.Need, Limit: have.Limit}
	}
	if stored {
		return plan, nil
	}
	return plan, outOfMemory(l.stepOnZeros(shapes[0]), plan.Need, have.Limit)
}

// outOfMemory turns a device's error into a *MemoryError if it has run out of memory.
func outOfMemory(err error, need, limit int64) error {
	if err != nil && ranOut(err) {
		return &MemoryError{need, limit, err}
	}
	return err
}

// ranOut says whether a device has run out of memory. go-xla gives the code of PJRT's error in the
// text only: 8 is RESOURCE_EXHAUSTED.
func ranOut(err error) bool { return strings.Contains(err.Error(), "PJRT error (code=8)") }

// stepOnZeros takes a step of black images on a state of zeros, beside a copy of the state, and
// frees everything.
func (l *Learner) stepOnZeros(s mask.Shape) (err error) {
	if err := l.fillZeros(); err != nil {
		return errors.Join(err, l.freeState())
	}
	defer func() { err = errors.Join(err, l.freeState()) }()
	copies, err := l.copies()
	if err != nil {
		return err
	}
	defer func() {
		for _, f := range copies {
			err = errors.Join(err, f.group.free())
		}
	}()
	var batches []*Images
	defer func() {
		for _, b := range batches {
			err = errors.Join(err, b.Free())
		}
	}()
	for range batchesAtOnce {
		images, err := l.Upload(make([]byte, l.Batch*l.Image*l.Image*3))
		if err != nil {
			return err
		}
		batches = append(batches, images)
	}
	m := mask.Masks{B: l.Batch, C: s.Context, M: l.Masks.TargetBlocks, K: s.Target}
	m.Context, m.Targets = make([]int32, m.B*m.C), make([]int32, m.B*m.M*m.K)
	sources := SampleDepths(l.Depths, l.IntermediateRows, 0, 0)
	_, err = l.Step(StepInput{Images: batches[0], Masks: m, Sources: sources, LR: 1, EMAMomentum: 1})
	return err
}

// fillZeros makes a state of zeros.
func (l *Learner) fillZeros() (err error) {
	largest := 0
	for _, a := range join(l.encoderArrays(), l.predictorArrays()) {
		largest = max(largest, 4*a.size())
	}
	zeros := make([]byte, largest)
	fill := func(arrays []array) (list []*tensors.Tensor) {
		for _, a := range arrays {
			var t *tensors.Tensor
			if err == nil {
				t, err = l.device.upload(zeros[:4*a.size()], a.shape())
			}
			if err == nil {
				list = append(list, t)
			}
		}
		return list
	}
	l.networks = makeNetworks(l.Config, fill)
	if err == nil && l.passes() > 1 {
		l.gradAccum, err = newGradAccum(l.device, l.Config)
	}
	return err
}
