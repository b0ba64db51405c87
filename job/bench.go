package job

import (
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

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/draw"
)

// BenchOptions say how a benchmark measures; what it measures, the settings say.
type BenchOptions struct {
	Steps   int     // timed steps of each mask shape
	Warmup  int     // steps before them
	Target  int     // tokens of a target block, with Context: one shape alone, of any lengths; 0: all shapes of the run
	Context int     // tokens of a context
	Peak    float64 // FLOP/s of the device; 0: by the card's name, where it is known

	Programs string // folder of compiled programs; empty: everything is compiled
}

// check refuses what cannot be measured.
func (o BenchOptions) check(cfg model.Config) error {
	faults := &SettingsError{}
	want := func(ok bool, flag string, value any, what string) {
		if !ok {
			faults.add(flag, value, what)
		}
	}
	tokens := cfg.Grid() * cfg.Grid()
	want(o.Steps > 0, "-steps", o.Steps, "at least 1")
	want(o.Warmup >= 0, "-warmup", o.Warmup, "0 or more")
	want(o.Peak >= 0 && !math.IsInf(o.Peak, 0), "-peak", o.Peak, "a number above 0, or 0: by the card's name")
	want((o.Target == 0) == (o.Context == 0), "-target", o.Target, "together with -context, or neither")
	want(o.Target >= 0 && o.Target <= tokens, "-target", o.Target, fmt.Sprintf("from 1 to the %d tokens of an image", tokens))
	want(o.Context >= 0 && o.Context <= tokens, "-context", o.Context, fmt.Sprintf("from 1 to the %d tokens of an image", tokens))
	return faults.orNil()
}

// Benchmark is what a benchmark found. Times are in seconds; what the device does not tell is null.
type Benchmark struct {
	Device   string          `json:"device"`
	Card     *string         `json:"card"`
	Driver   *string         `json:"driver"`
	Versions record.Versions `json:"versions"`

	Preset     string `json:"preset"`
	Batch      int    `json:"batch"`
	MicroBatch int    `json:"micro_batch"` // images of a pass
	Remat      bool   `json:"remat"`
	Precision  string `json:"precision"`
	Rows       int    `json:"rows"` // sampled intermediate source depths

	OpenSeconds    float64      `json:"open_seconds"`    // of the device
	StateSeconds   float64      `json:"state_seconds"`   // of the initial state, drawn and copied
	CompileSeconds float64      `json:"compile_seconds"` // of all programs
	Shapes         []BenchShape `json:"shapes"`

	StepSeconds       float64  `json:"step_seconds"` // median of a shape, weighted by the shapes' probabilities
	ImagesPerSecond   float64  `json:"images_per_second"`
	OperationsAnImage float64  `json:"flops_per_image"` // of matrix products and attention, by the sizes; what is computed again does not count
	Operations        float64  `json:"flops_per_second"`
	Peak              *float64 `json:"peak_flops_per_second"`
	MFU               *float64 `json:"mfu"` // share of the peak

	GapSeconds    float64 `json:"gap_seconds"`    // median from a step's return to the next one's call, its images uploaded meanwhile
	UploadSeconds float64 `json:"upload_seconds"` // median of the copy of a batch of images to the device, alone
	UploadBytes   int64   `json:"upload_bytes"`

	PauseSeconds float64             `json:"snapshot_pause_seconds"`    // of the steps, for a copy of the state: the longer of two
	SavingRate   float64             `json:"snapshot_bytes_per_second"` // at which such a copy comes to the host
	StateBytes   int64               `json:"state_bytes"`
	Memory       *model.DeviceMemory `json:"device_memory"` // at the end
	Programs     []BenchProgram      `json:"programs"`      // that XLA was asked for

	Products       map[string]int `json:"products"` // matrix products of the programs, by the type of their operands
	FusedAttention int            `json:"fused_attention"`
	FirstLoss      float64        `json:"first_loss"` // on noise for images; about 1.15
	LastLoss       float64        `json:"last_loss"`
	Skipped        int            `json:"skipped"` // steps without a finite gradient
}

// BenchShape is what the step of one mask shape took.
type BenchShape struct {
	Target          int     `json:"target"`
	Context         int     `json:"context"`
	Probability     float64 `json:"probability"`
	CompileSeconds  float64 `json:"compile_seconds"`
	FirstSeconds    float64 `json:"first_seconds"` // of the first step
	StepSeconds     float64 `json:"step_seconds"`  // median
	FastestSeconds  float64 `json:"fastest_seconds"`
	SlowestSeconds  float64 `json:"slowest_seconds"`
	ImagesPerSecond float64 `json:"images_per_second"`
	Operations      float64 `json:"flops_per_image"`
}

// BenchProgram is one that XLA was asked for.
type BenchProgram struct {
	Seconds float64              `json:"seconds"`
	Stored  bool                 `json:"stored"` // it was read, not compiled
	Bytes   int                  `json:"stored_bytes"`
	Memory  *model.ProgramMemory `json:"memory"` // planned
}

// Bench times the training step of these settings on their device, without data: images are noise, the state begins as a
// run's does. It writes one line of JSON, a Benchmark. It needs no bucket.
func Bench(ctx context.Context, cfg Config, o BenchOptions, versions Versions, out io.Writer, log *slog.Logger) error {
	m := cfg.Model()
	if err := o.check(m); err != nil {
		return err
	}
	b := &bench{cfg: cfg, model: m, options: o, log: log, smi: nvidiaSMI}
	b.found = Benchmark{Versions: versions, Preset: cfg.Preset, Batch: m.Batch, Remat: m.Remat, Precision: m.Precision, Rows: m.IntermediateRows}
	// What runs on a device cannot be interrupted; it is left to the end of the process.
	if err := interruptible(ctx, func() error { return b.run(ctx) }); err != nil {
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
	cfg     Config
	model   model.Config
	options BenchOptions
	log     *slog.Logger
	smi     func(ctx context.Context) ([]byte, error)
	found   Benchmark

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
	var kept *programs
	if b.options.Programs != "" {
		kept = &programs{folder: b.options.Programs, log: b.log}
	}
	device, err := b.cfg.openDevice(kept, b.log) // left to the end of the process, as arrays on it may be
	if err != nil {
		return err
	}
	b.found.Device, b.found.OpenSeconds = device.Description(), lap()
	b.cfg = likely(b.cfg, device.Memory())
	b.model, b.found.MicroBatch = b.cfg.Model(), b.cfg.pass()
	b.lookAtCard(ctx, device.Card())
	lap()
	if b.learner, err = model.NewLearner(device, b.model, b.cfg.Seed); err != nil {
		return fmt.Errorf("making the initial state: %w", &DeviceError{err})
	}
	defer func() { err = errors.Join(err, b.learner.Close()) }()
	b.found.StateSeconds = lap()
	b.images = noise(b.model.Batch, b.model.Image*b.model.Image*3)
	b.found.StateBytes = b.model.StateBytes()
	shapes, err := b.shapes()
	if err != nil {
		return err
	}
	for _, s := range shapes {
		lap()
		if err := b.learner.Compile(s); err != nil {
			return fmt.Errorf("compiling the step for targets of %d and contexts of %d tokens: %w", s.Target, s.Context, &DeviceError{err})
		}
		b.found.Shapes = append(b.found.Shapes, BenchShape{Target: s.Target, Context: s.Context, Probability: s.Probability, CompileSeconds: lap()})
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
		b.found.Programs = append(b.found.Programs, BenchProgram{p.Seconds, p.Stored, p.Bytes, p.Memory})
	}
	b.conclude()
	return nil
}

// lookAtCard names the card, if the device is one, and finds its peak.
func (b *bench) lookAtCard(ctx context.Context, card string) {
	if strings.HasPrefix(b.cfg.Backend, "xla") && strings.Contains(b.cfg.Backend, "cuda") {
		name, _, driver, ok := (&check{smi: b.smi}).card(ctx)
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
func (b *bench) shapes() ([]model.MaskShape, error) {
	if b.options.Target > 0 {
		return []model.MaskShape{{Target: b.options.Target, Context: b.options.Context, Probability: 1}}, nil
	}
	masker, err := model.NewMasker(b.model.Grid(), b.model.Masks)
	if err != nil {
		return nil, err
	}
	return masker.Shapes(), nil
}

// uploads of a batch that are timed alone.
const timedUploads = 5

// timeUpload times the copy of a batch of images to the device.
func (b *bench) timeUpload() error {
	var laps []time.Duration
	for range timedUploads {
		begin := time.Now()
		images, err := b.learner.Upload(b.images)
		if err != nil {
			return fmt.Errorf("copying images: %w", &DeviceError{err})
		}
		laps = append(laps, time.Since(begin))
		if err := images.Free(); err != nil {
			return fmt.Errorf("freeing images: %w", &DeviceError{err})
		}
	}
	b.found.UploadSeconds, b.found.UploadBytes = seconds(median(laps)), int64(len(b.images))
	return nil
}

// timeSnapshot times what a checkpoint takes of the device: twice, as the first one finds less memory ready.
func (b *bench) timeSnapshot() error {
	if err := b.learner.CompileSnapshot(); err != nil {
		return &DeviceError{err}
	}
	for range 2 {
		begin := time.Now()
		state, err := b.learner.Snapshot()
		if err != nil {
			return &DeviceError{err}
		}
		b.found.PauseSeconds = max(b.found.PauseSeconds, seconds(time.Since(begin)))
		for _, p := range state.Parts() {
			if err := p.Write(io.Discard); err != nil {
				return &DeviceError{err}
			}
		}
		b.found.SavingRate = max(b.found.SavingRate, float64(b.found.StateBytes)/time.Since(begin).Seconds())
	}
	return nil
}

// timeShape times steps of one mask shape. As in a run, images of later steps are copied while one runs.
func (b *bench) timeShape(ctx context.Context, s *BenchShape) error {
	masks := scatter(b.model, model.MaskShape{Target: s.Target, Context: s.Context}, b.cfg.Seed)
	type uploaded struct {
		images *model.Images
		err    error
	}
	next := make(chan uploaded, 1)
	var laps []time.Duration
	var returned time.Time
	total := max(1, b.options.Warmup) + b.options.Steps
	enough := make(chan struct{})
	go func() {
		defer close(next)
		for range total {
			images, err := b.learner.Upload(b.images)
			select {
			case next <- uploaded{images, err}:
			case <-enough:
				return
			}
		}
	}()
	defer func() {
		close(enough)
		for range next { // the goroutine must be gone before the learner is
		}
	}()
	for i := range total {
		u := <-next
		if u.err != nil {
			return fmt.Errorf("copying images: %w", &DeviceError{u.err})
		}
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), u.images.Free())
		}
		in := model.StepInput{Images: u.images, Masks: masks, Rate: b.cfg.StartRate, Momentum: b.cfg.FirstMomentum,
			Sources: model.SampleDepths(b.model.Depths, b.model.IntermediateRows, b.cfg.Seed, b.step)}
		called := time.Now()
		out, err := b.learner.Step(in)
		if err != nil {
			return fmt.Errorf("a step of %d images: %w", b.model.Batch, &DeviceError{err})
		}
		if i > 0 {
			b.gaps = append(b.gaps, called.Sub(returned))
		}
		returned = time.Now()
		switch lap := returned.Sub(called); {
		case i == 0:
			s.FirstSeconds = seconds(lap)
		case i >= total-b.options.Steps:
			laps = append(laps, lap)
		}
		if b.step == 0 {
			b.found.FirstLoss = out.Loss
		}
		b.step++
		if b.found.LastLoss = out.Loss; out.Skipped {
			b.found.Skipped++
		}
	}
	s.StepSeconds, s.FastestSeconds, s.SlowestSeconds = seconds(median(laps)), seconds(slices.Min(laps)), seconds(slices.Max(laps))
	s.ImagesPerSecond = float64(b.model.Batch) / s.StepSeconds
	s.Operations = b.model.Operations(model.MaskShape{Target: s.Target, Context: s.Context})
	return nil
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

// scatter draws masks of any lengths: places without order among the blocks, which costs a step the same.
func scatter(cfg model.Config, s model.MaskShape, seed uint64) model.Masks {
	m := model.Masks{B: cfg.Batch, C: s.Context, M: cfg.Masks.TargetBlocks, K: s.Target}
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
