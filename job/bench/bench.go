package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/draw"
	"github.com/cijepa/cijepa/model/mask"
)

// Options say how a benchmark measures; what it measures, the settings say.
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
	want(o.Target >= 0 && o.Target <= tokens, "-target", o.Target, fmt.Sprintf("from 1 to the %d tokens of an image", tokens))
	want(o.Context >= 0 && o.Context <= tokens, "-context", o.Context, fmt.Sprintf("from 1 to the %d tokens of an image", tokens))
	return faults.OrNil()
}

// Run times the training step of these settings on their device, without data: images are noise, the state begins as a
// run's does. It writes one line of JSON, a Benchmark. It needs no bucket.
func Run(ctx context.Context, cfg settings.Config, o Options, versions record.Versions, out io.Writer, log *slog.Logger) error {
	m := cfg.Model()
	if err := o.check(m); err != nil {
		return err
	}
	b := &bench{cfg: cfg, model: m, options: o, log: log, smi: machine.NvidiaSMI}
	b.found = Result{Versions: versions, Preset: cfg.Preset, Batch: m.Batch, Remat: m.Remat, Precision: m.Precision, Rows: m.IntermediateRows}
	// What runs on a device cannot be interrupted; it is left to the end of the process.
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
	found   Result

	learner *model.Learner
	images  []byte
	step    int64 // number of the next one
	gaps    []time.Duration
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
	var kept *machine.ProgramStore
	if b.options.Programs != "" {
		kept = machine.NewProgramStore(b.options.Programs, b.log)
	}
	device, err := machine.OpenDevice(b.cfg, kept, b.log) // left to the end of the process, as arrays on it may be
	if err != nil {
		return err
	}
	b.found.Device, b.found.OpenSeconds = device.Description(), lap()
	if b.cfg.MicroBatch == 0 {
		if b.cfg, err = machine.ChooseMicroBatch(ctx, device, b.cfg, nil, false, b.log); err != nil {
			return err
		}
	}
	b.model, b.found.MicroBatch = b.cfg.Model(), b.cfg.ImagesPerPass()
	b.lookAtCard(ctx, device.Card())
	lap()
	if b.learner, err = model.NewLearner(device, b.model, b.cfg.Seed); err != nil {
		return fmt.Errorf("making the initial state: %w", &machine.DeviceError{Err: err})
	}
	defer func() { err = errors.Join(err, b.learner.Close()) }()
	b.found.StateSeconds = lap()
	b.images = Noise(b.model.Batch, b.model.Image*b.model.Image*3)
	b.found.StateBytes = b.model.StateBytes()
	shapes, err := b.shapes()
	if err != nil {
		return err
	}
	for _, s := range shapes {
		lap()
		if err := b.learner.Compile(s); err != nil {
			return fmt.Errorf("compiling the step for targets of %d and contexts of %d tokens: %w", s.Target, s.Context, machine.StepError(b.cfg, err, nil))
		}
		b.found.Shapes = append(b.found.Shapes, Shape{Target: s.Target, Context: s.Context, Probability: s.Probability, CompileSeconds: lap()})
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
		b.found.Programs = append(b.found.Programs, Program{p.Seconds, p.Stored, p.Bytes, p.Memory})
	}
	b.conclude()
	return nil
}

// lookAtCard names the card, if the device is one, and finds its peak.
func (b *bench) lookAtCard(ctx context.Context, card string) {
	if strings.HasPrefix(b.cfg.Backend, "xla") && strings.Contains(b.cfg.Backend, "cuda") {
		if first := machine.FirstCard(ctx, b.smi); first != nil {
			b.found.Driver = &first.Driver
			card = cmp.Or(card, first.Name)
		}
	}
	if card != "" {
		b.found.Card = &card
	}
	peak := b.options.Peak
	if peak == 0 && b.found.Card != nil && b.model.Precision == model.BFloat16 {
		peak = peakOf(*b.found.Card)
	}
	if peak > 0 {
		b.found.Peak = &peak
	}
}

// shapes are those of the run, or the one that the options name.
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

// conclude weights the shapes by their probabilities.
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

// median of times; of an even number the upper one.
func median(laps []time.Duration) time.Duration {
	if len(laps) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(laps))[len(laps)/2]
}

// Noise is one random image, repeated.
func Noise(n, size int) []byte {
	stream := draw.New(0, "check")
	images := make([]byte, n*size)
	for i := range size {
		images[i] = byte(stream.Uint64())
	}
	for i := 1; i < n; i++ {
		copy(images[i*size:], images[:size])
	}
	return images
}
