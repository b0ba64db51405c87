package bench

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/draw"
	"github.com/cijepa/cijepa/model/mask"
)

// Trial says which steps TimeSteps takes: those of one mask shape, on noise for images.
type Trial struct {
	Model           model.Config // of the learner
	Shape           mask.Shape   // of any lengths on the grid
	Seed            uint64       // of masks and sampled depths
	From            int64        // number of the first step, by which depths are sampled
	LR, EMAMomentum float64

	Warmup int           // steps that are not counted; at least one is taken
	Steps  int           // counted steps
	Limit  time.Duration // no step begins after it, except the first; 0: none
}

// StepTimes is what TimeSteps measured.
type StepTimes struct {
	First   time.Duration   // of the first step
	Counted []time.Duration // of the steps after the warm-up; none where the limit came first
	Gaps    []time.Duration // from a step's return to the call of the next one

	FirstLoss, LastLoss float64
	Taken, Skipped      int // steps; skipped ones had a gradient that was not finite
}

// Typical is the median of the counted steps, or the first step where none was counted.
func (t StepTimes) Typical() time.Duration {
	if len(t.Counted) == 0 {
		return t.First
	}
	return median(t.Counted)
}

// TimeSteps takes steps of a learner, whose program of the shape must be compiled. As in a run,
// images of later steps are copied to the device while one runs. Errors of the device are
// *machine.DeviceError; when ctx ends, between two steps, the error is its cause.
func TimeSteps(ctx context.Context, learner *model.Learner, t Trial) (times StepTimes, err error) {
	warmup := max(1, t.Warmup)
	masks, images := scatterMasks(t.Model, t.Shape, t.Seed), noise(t.Model)
	batches := func(context.Context) iter.Seq2[*input.Batch, error] {
		return func(yield func(*input.Batch, error) bool) {
			for i := range warmup + t.Steps {
				if !yield(&input.Batch{Step: int64(i), Images: images}, nil) {
					return
				}
			}
		}
	}
	var returned time.Time
	begin := time.Now()
	for batch, err := range machine.Prefetch(ctx, learner, batches) {
		if err != nil {
			return times, err
		}
		if ctx.Err() != nil {
			return times, errors.Join(context.Cause(ctx), batch.Images.Free())
		}
		if t.Limit > 0 && times.Taken > 0 && time.Since(begin) > t.Limit {
			return times, batch.Images.Free()
		}
		called := time.Now()
		out, err := learner.Step(model.StepInput{
			Images: batch.Images, Masks: masks, LR: t.LR, EMAMomentum: t.EMAMomentum,
			Sources: model.SampleDepths(t.Model.Depths, t.Model.IntermediateRows, t.Seed, t.From+batch.Step),
		})
		if err != nil {
			return times, &machine.DeviceError{Err: err}
		}
		if times.Taken > 0 {
			times.Gaps = append(times.Gaps, called.Sub(returned))
		}
		returned = time.Now()
		if times.Taken == 0 {
			times.First, times.FirstLoss = returned.Sub(called), out.Loss
		}
		if times.Taken >= warmup {
			times.Counted = append(times.Counted, returned.Sub(called))
		}
		times.Taken++
		if times.LastLoss = out.Loss; out.Skipped {
			times.Skipped++
		}
	}
	return times, nil
}

// median of times; of an even number the upper one.
func median(times []time.Duration) time.Duration {
	if len(times) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(times))[len(times)/2]
}

// scatterMasks draws masks of any lengths for a batch: cells at random instead of blocks, which
// takes a step as long.
func scatterMasks(cfg model.Config, s mask.Shape, seed uint64) mask.Masks {
	m := mask.Masks{B: cfg.Batch, C: s.Context, M: cfg.Masks.TargetBlocks, K: s.Target}
	tokens := cfg.Grid() * cfg.Grid()
	stream := draw.New(seed, "bench")
	sample := func(n int) []int32 {
		cells := make([]int32, n)
		for i, cell := range stream.Perm(tokens)[:n] {
			cells[i] = int32(cell)
		}
		slices.Sort(cells)
		return cells
	}
	for range m.B {
		m.Context = append(m.Context, sample(m.C)...)
		for range m.M {
			m.Targets = append(m.Targets, sample(m.K)...)
		}
	}
	return m
}

// noise is a batch of images, all of them the same random one.
func noise(cfg model.Config) []byte {
	stream := draw.New(0, "check")
	image := make([]byte, cfg.Image*cfg.Image*3)
	for i := range image {
		image[i] = byte(stream.Uint64())
	}
	return slices.Repeat(image, cfg.Batch)
}
