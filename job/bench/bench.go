// Package bench is cijepa bench: the training step alone, timed without data. It knows no bucket
// and no run.
//
//	bench.go      Options and Run: what is measured, in order
//	steps.go      TimeSteps, for the benchmark and for cijepa check
//	transfers.go  copies of images to the device, and of the state from it
//	card.go       the card and its peak
//	result.go     the line of JSON
package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/mask"
)

// Options say how a benchmark measures. What it measures is in the settings.
type Options struct {
	Steps   int     // timed steps of each mask shape
	Warmup  int     // steps before them
	Target  int     // tokens of a target block, with Context: one shape alone, of any lengths; 0: all shapes of the run
	Context int     // tokens of a context
	Peak    float64 // FLOP/s of the device; 0: by the card's name, where it is known

	Programs string // folder of compiled programs; empty: everything is compiled
}

// check refuses what cannot be measured.
func (o Options) check(cfg model.Config) error {
	faults := &settings.Error{}
	want := func(ok bool, flag string, value any, what string) {
		if !ok {
			faults.Add(flag, value, what)
		}
	}
	tokens := cfg.Grid() * cfg.Grid()
	want(o.Steps > 0, "-steps", o.Steps, "at least 1")
	want(o.Warmup >= 0, "-warmup", o.Warmup, "0 or more")
	want(o.Peak >= 0 && !math.IsInf(o.Peak, 0), "-peak", o.Peak, "a number above 0, or 0: by the card's name")
	want((o.Target == 0) == (o.Context == 0), "-target", o.Target, "together with -context, or neither")
	lengths := fmt.Sprintf("from 1 to the %d tokens of an image", tokens)
	want(o.Target >= 0 && o.Target <= tokens, "-target", o.Target, lengths)
	want(o.Context >= 0 && o.Context <= tokens, "-context", o.Context, lengths)
	return faults.OrNil()
}

// Run times the training step of these settings on their device. It needs no bucket and no data:
// images are noise, and the state is a run's initial one. It writes a result to out, as one line of
// JSON.
func Run(ctx context.Context, cfg settings.Config, o Options, versions record.Versions, out io.Writer,
	log *slog.Logger,
) error {
	m := cfg.Model()
	if err := o.check(m); err != nil {
		return err
	}
	b := &bench{cfg: cfg, model: m, options: o, log: log, smi: machine.NvidiaSMI}
	b.found = result{
		Versions: versions, Preset: cfg.Preset,
		Batch: m.Batch, Remat: m.Remat, Precision: m.Precision, Rows: m.IntermediateRows,
	}
	// A call of the device cannot be interrupted. After a signal it runs until the process ends.
	if err := machine.Interruptible(ctx, func() error { return b.run(ctx) }); err != nil {
		return err
	}
	line, err := json.Marshal(b.found)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "%s\n", line); err != nil {
		return fmt.Errorf("printing what was measured: %w", err)
	}
	return nil
}

// bench is one benchmark.
type bench struct {
	cfg     settings.Config
	model   model.Config
	options Options
	log     *slog.Logger
	smi     func(ctx context.Context) ([]byte, error)
	found   result

	learner *model.Learner
	step    int64           // number of the next one
	gaps    []time.Duration // between steps
}

// seconds rounds a time to microseconds.
func seconds(d time.Duration) float64 { return d.Round(time.Microsecond).Seconds() }

// run measures everything in turn.
func (b *bench) run(ctx context.Context) (err error) {
	clock := time.Now()
	lap := func() float64 {
		begin := clock
		clock = time.Now()
		return seconds(clock.Sub(begin))
	}
	var programs *machine.ProgramStore
	if b.options.Programs != "" {
		programs = machine.NewProgramStore(b.options.Programs, b.log)
	}
	device, err := machine.OpenDevice(b.cfg, programs, b.log) // never closed: arrays on it may outlive this function
	if err != nil {
		return err
	}
	b.found.Device, b.found.OpenSeconds = device.Description(), lap()
	if b.cfg.MicroBatch == 0 { // as a run would choose it
		if b.cfg, err = machine.ChooseMicroBatch(ctx, device, b.cfg, nil, false, b.log); err != nil {
			return err
		}
	}
	b.model, b.found.MicroBatch = b.cfg.Model(), b.cfg.ImagesPerPass()
	b.findCard(ctx, device.Card())
	lap()
	if b.learner, err = model.NewLearner(device, b.model, b.cfg.Seed); err != nil {
		return fmt.Errorf("making the initial state: %w", &machine.DeviceError{Err: err})
	}
	defer func() { err = errors.Join(err, b.learner.Close()) }()
	b.found.StateSeconds = lap()
	b.found.StateBytes = b.model.StateBytes()
	shapes, err := b.shapes()
	if err != nil {
		return err
	}
	b.log.Info("compiling", "programs", b.model.Programs(len(shapes)))
	for _, s := range shapes {
		b.found.Estimate = max(b.found.Estimate, b.model.Need(s, b.cfg.FusedAttention()).Total())
		lap()
		if err := b.learner.Compile(s); err != nil {
			return fmt.Errorf("compiling the step for targets of %d and contexts of %d tokens: %w",
				s.Target, s.Context, machine.StepError(b.cfg, err, nil))
		}
		b.found.Shapes = append(b.found.Shapes,
			shapeResult{Target: s.Target, Context: s.Context, Probability: s.Probability, CompileSeconds: lap()})
	}
	if err := b.timeUpload(); err != nil {
		return err
	}
	for i := range b.found.Shapes {
		if err := b.timeShape(ctx, &b.found.Shapes[i]); err != nil {
			return err
		}
	}
	if err := b.timeSnapshot(); err != nil {
		return err
	}
	b.found.Memory = device.Memory()
	for _, p := range device.Compiled() {
		b.found.Programs = append(b.found.Programs, programResult{p.Seconds, p.Stored, p.Bytes, p.Memory})
	}
	b.conclude()
	return nil
}

// timeShape times the steps of one mask shape.
func (b *bench) timeShape(ctx context.Context, s *shapeResult) error {
	shape := mask.Shape{Target: s.Target, Context: s.Context}
	times, err := TimeSteps(ctx, b.learner, Trial{
		Model: b.model, Shape: shape, Seed: b.cfg.Seed, From: b.step, LR: b.cfg.StartLR(), EMAMomentum: b.cfg.EMAMomentum,
		Warmup: b.options.Warmup, Steps: b.options.Steps,
	})
	if err != nil {
		return fmt.Errorf("steps of %d images: %w", b.model.Batch, err)
	}
	s.FirstSeconds, s.StepSeconds = seconds(times.First), seconds(times.Typical())
	s.FastestSeconds, s.SlowestSeconds = seconds(slices.Min(times.Counted)), seconds(slices.Max(times.Counted))
	s.ImagesPerSecond = float64(b.model.Batch) / s.StepSeconds
	s.FLOPsPerImage = b.model.FLOPs(shape)
	if b.step == 0 {
		b.found.FirstLoss = record.Finite(times.FirstLoss)
	}
	b.found.LastLoss = record.Finite(times.LastLoss)
	b.found.Skipped += times.Skipped
	b.gaps = append(b.gaps, times.Gaps...)
	b.step += int64(times.Taken)
	return nil
}

// shapes returns the mask shapes of the run, or the one that the options name.
func (b *bench) shapes() ([]mask.Shape, error) {
	if b.options.Target > 0 {
		return []mask.Shape{{Target: b.options.Target, Context: b.options.Context, Probability: 1}}, nil
	}
	masker, err := b.model.Masker()
	if err != nil {
		return nil, err
	}
	return masker.Shapes(), nil
}

// conclude weights the shapes by their probabilities and adds up.
func (b *bench) conclude() {
	f := &b.found
	for _, s := range f.Shapes {
		f.CompileSeconds += s.CompileSeconds
		f.StepSeconds += s.Probability * s.StepSeconds
		f.FLOPsPerImage += s.Probability * s.FLOPsPerImage
	}
	f.ImagesPerSecond = float64(f.Batch) / f.StepSeconds
	f.FLOPsPerSecond = f.ImagesPerSecond * f.FLOPsPerImage
	if f.Peak != nil {
		share := f.FLOPsPerSecond / *f.Peak
		f.MFU = &share
	}
	f.GapSeconds = seconds(median(b.gaps))
	seen := b.learner.Inspect()
	f.Products, f.FusedAttention = seen.Products, seen.FusedAttention
}
