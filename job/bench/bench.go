package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/cijepa/cijepa/job/machine"
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
func Run(ctx context.Context, cfg settings.Config, o Options, versions machine.Versions, out io.Writer, log *slog.Logger) error {
	m := cfg.Model()
	if err := o.check(m); err != nil {
		return err
	}
	b := &bench{cfg: cfg, model: m, options: o, log: log, smi: NvidiaSMI}
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
	var kept *machine.Programs
	if b.options.Programs != "" {
		kept = machine.NewPrograms(b.options.Programs, b.log)
	}
	device, err := machine.OpenDevice(b.cfg, kept, b.log) // left to the end of the process, as arrays on it may be
	if err != nil {
		return err
	}
	b.found.Device, b.found.OpenSeconds = device.Description(), lap()
	b.cfg = machine.Likely(b.cfg, device.Memory())
	b.model, b.found.MicroBatch = b.cfg.Model(), machine.Pass(b.cfg)
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
			return fmt.Errorf("compiling the step for targets of %d and contexts of %d tokens: %w", s.Target, s.Context, machine.Failed(b.cfg, err, nil))
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
		name, _, driver, ok := FirstCard(ctx, b.smi)
		if ok {
			b.found.Driver = &driver
		}
		if card == "" {
			card = name
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
		f.OperationsAnImage += s.Probability * s.Operations
	}
	f.ImagesPerSecond = float64(f.Batch) / f.StepSeconds
	f.Operations = f.ImagesPerSecond * f.OperationsAnImage
	if f.Peak != nil {
		share := f.Operations / *f.Peak
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

// FirstCard asks for the first card of this machine. Where nobody answers there is none, or none that can be asked.
func FirstCard(ctx context.Context, smi func(context.Context) ([]byte, error)) (name string, memory float64, driver string, ok bool) {
	text, err := smi(ctx)
	if err != nil {
		return "", 0, "", false
	}
	first, _, _ := bytes.Cut(bytes.TrimSpace(text), []byte("\n"))
	fields := strings.Split(string(first), ",")
	var size settings.Bytes
	if len(fields) != 3 || size.Decode(strings.TrimSpace(fields[1])) != nil || size == 0 {
		return "", 0, "", false
	}
	return strings.TrimSpace(fields[0]), float64(size), strings.TrimSpace(fields[2]), true
}

// NvidiaSMI prints name, memory and driver of each card, one a line.
func NvidiaSMI(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader").Output()
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
