package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/draw"
	"github.com/cijepa/cijepa/model/mask"
)

// uploads of a batch that are timed alone.
const timedUploads = 5

// timeUpload times the copy of a batch of images to the device.
func (b *bench) timeUpload() error {
	var laps []time.Duration
	for range timedUploads {
		begin := time.Now()
		images, err := b.learner.Upload(b.images)
		if err != nil {
			return fmt.Errorf("copying images: %w", &machine.DeviceError{Err: err})
		}
		laps = append(laps, time.Since(begin))
		if err := images.Free(); err != nil {
			return fmt.Errorf("freeing images: %w", &machine.DeviceError{Err: err})
		}
	}
	b.found.UploadSeconds, b.found.UploadBytes = seconds(median(laps)), int64(len(b.images))
	return nil
}

// timeSnapshot times what a checkpoint takes of the device: twice, as the first one finds less memory ready.
func (b *bench) timeSnapshot() error {
	if err := b.learner.CompileSnapshot(); err != nil {
		return &machine.DeviceError{Err: err}
	}
	for range 2 {
		begin := time.Now()
		parts, err := b.learner.Snapshot()
		if err != nil {
			return &machine.DeviceError{Err: err}
		}
		b.found.PauseSeconds = max(b.found.PauseSeconds, seconds(time.Since(begin)))
		for _, p := range parts {
			if err := p.Write(io.Discard); err != nil {
				return &machine.DeviceError{Err: err}
			}
		}
		b.found.SavingRate = max(b.found.SavingRate, float64(b.found.StateBytes)/time.Since(begin).Seconds())
	}
	return nil
}

// timeShape times steps of one mask shape. As in a run, images of later steps are copied while one runs.
func (b *bench) timeShape(ctx context.Context, s *Shape) error {
	masks := scatter(b.model, mask.Shape{Target: s.Target, Context: s.Context}, b.cfg.Seed)
	var laps []time.Duration
	var returned time.Time
	total := max(1, b.options.Warmup) + b.options.Steps
	same := func(context.Context) iter.Seq2[*input.Batch, error] {
		return func(yield func(*input.Batch, error) bool) {
			for i := range total {
				if !yield(&input.Batch{Step: int64(i), Images: b.images}, nil) {
					return
				}
			}
		}
	}
	for batch, err := range machine.Prefetch(ctx, b.learner, same) {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), batch.Images.Free())
		}
		in := model.StepInput{Images: batch.Images, Masks: masks, LR: b.cfg.StartLR(), EMAMomentum: b.cfg.EMAMomentum,
			Sources: model.SampleDepths(b.model.Depths, b.model.IntermediateRows, b.cfg.Seed, b.step)}
		called := time.Now()
		out, err := b.learner.Step(in)
		if err != nil {
			return fmt.Errorf("a step of %d images: %w", b.model.Batch, &machine.DeviceError{Err: err})
		}
		if batch.Step > 0 {
			b.gaps = append(b.gaps, called.Sub(returned))
		}
		returned = time.Now()
		switch lap := returned.Sub(called); {
		case batch.Step == 0:
			s.FirstSeconds = seconds(lap)
		case batch.Step >= int64(total-b.options.Steps):
			laps = append(laps, lap)
		}
		if b.step == 0 {
			b.found.FirstLoss = record.Finite(out.Loss)
		}
		b.step++
		if b.found.LastLoss = record.Finite(out.Loss); out.Skipped {
			b.found.Skipped++
		}
	}
	s.StepSeconds, s.FastestSeconds, s.SlowestSeconds = seconds(median(laps)), seconds(slices.Min(laps)), seconds(slices.Max(laps))
	s.ImagesPerSecond = float64(b.model.Batch) / s.StepSeconds
	s.FLOPsPerImage = b.model.FLOPs(mask.Shape{Target: s.Target, Context: s.Context})
	return nil
}

// scatter draws masks of any lengths: places without order among the blocks, which costs a step the same.
func scatter(cfg model.Config, s mask.Shape, seed uint64) mask.Masks {
	m := mask.Masks{B: cfg.Batch, C: s.Context, M: cfg.Masks.TargetBlocks, K: s.Target}
	tokens := cfg.Grid() * cfg.Grid()
	stream := draw.New(seed, "bench")
	sample := func(n int) []int32 {
		places := make([]int32, tokens)
		for i := range places {
			places[i] = int32(i)
		}
		for i := range n {
			j := i + int(stream.Uint64()%uint64(tokens-i))
			places[i], places[j] = places[j], places[i]
		}
		return slices.Sorted(slices.Values(places[:n]))
	}
	for range m.B {
		m.Context = append(m.Context, sample(m.C)...)
		for range m.M {
			m.Targets = append(m.Targets, sample(m.K)...)
		}
	}
	return m
}
