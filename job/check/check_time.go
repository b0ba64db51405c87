package check

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/cijepa/cijepa/job/bench"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/mask"
)

// timing is what steps of a batch size took.
type timing struct {
	images  int     // of a step
	seconds float64 // of a step, the first one apart where there were several
	steps   int     // that were timed
	whole   float64 // seconds of all of it, with the making of the learner and its program
	share   float64 // of the operations of the run's network
	skipped bool    // a gradient was not finite
	seen    model.Inspection
}

// alone is the time of a trial that takes so many steps.
func (t timing) alone(steps float64) float64 {
	return t.whole + (steps-float64(t.steps))*t.seconds
}

// timeSteps measures real steps. On XLA the batch is the run's own, which also finds out whether it fits. The Go backend may need
// hours for that one, so there the batch grows from one image for as long as the budget is likely to last, and where the
// network is large one block of it stands for the others first.
func (c *check) timeSteps(ctx context.Context) {
	if c.device == nil {
		return
	}
	limited, cancel := context.WithTimeoutCause(ctx, c.budget, errBudget)
	defer cancel()
	begin := time.Now()
	cfg := c.cfg.Model()
	whole := cfg
	if !strings.HasPrefix(c.cfg.Backend, "xla") {
		cfg.Batch, cfg.MicroBatch = 1, 0
		if whole = cfg; c.cfg.Model().StateBytes() > largeState {
			cfg = oneBlock(cfg)
		}
	}
	var all []timing
	for cfg.Batch > 0 {
		t, err := c.trial(limited, cfg)
		if errors.Is(err, errBudget) || ctx.Err() != nil {
			break
		}
		if err != nil {
			c.failedStep(ctx, cfg, err)
			return
		}
		left := (c.budget - time.Since(begin)).Seconds()
		if t.share = c.share(cfg); t.share < 1 {
			c.update = t.seconds / t.share * float64(c.cfg.Batch)
			c.tellPart(t)
			if t.alone(1)/t.share > left/2 {
				return
			}
			cfg = whole
			continue
		}
		all = append(all, t)
		if cfg.Batch = c.nextBatch(t, left); len(c.settings.Faults)+len(c.errs) > 0 {
			break // the device works, and a run that cannot begin takes no time
		}
	}
	if ctx.Err() == nil {
		c.tellPace(all)
	}
}

// largeState is a state that two cores do not even draw at once.
const largeState = 500e6

// oneBlock cuts a network down to one block, one pathway and one block of its predictor, all as wide as they were: weights and
// operations shrink by much the same factor.
func oneBlock(cfg model.Config) model.Config {
	cfg.Depth, cfg.Depths, cfg.PredictorDepth, cfg.IntermediateRows = 1, []int{0}, 1, 0
	return cfg
}

// share of the run's operations for an image that a step of cfg takes.
func (c *check) share(cfg model.Config) float64 {
	return cfg.FLOPs(c.meanShape()) / c.operations()
}

// operations of one image in a step, at the mask shape nearest to the mean.
func (c *check) operations() float64 { return c.cfg.Model().FLOPs(c.meanShape()) }

// meanShape is the mask shape whose targets are nearest to the mean in length.
func (c *check) meanShape() (nearest mask.Shape) {
	masker, err := c.cfg.Model().Masker()
	if err != nil {
		return nearest // Load refuses such settings
	}
	mean := 0.0
	for _, s := range masker.Shapes() {
		mean += s.Probability * float64(s.Target)
	}
	for i, s := range masker.Shapes() {
		if i == 0 || math.Abs(float64(s.Target)-mean) < math.Abs(float64(nearest.Target)-mean) {
			nearest = s
		}
	}
	return nearest
}

// tellPart works out what an update takes from a step of one block.
func (c *check) tellPart(t timing) {
	c.ok("step", "an update takes about %s, %s images/s (scaled by operations from %s for one image through one block and one predictor block, which are %.3g of the whole)",
		settings.FormatSeconds(c.update), settings.FormatNumber(float64(c.cfg.Batch)/c.update), settings.FormatSeconds(t.seconds), t.share)
}

var errBudget = errors.New("measuring took too long")

// nextBatch is the next batch size to time in the seconds that are left, or 0.
func (c *check) nextBatch(t timing, left float64) int {
	for _, factor := range []int{4, 2} {
		n := min(factor*t.images, c.cfg.Batch)
		if n > t.images && t.alone(2*float64(n)/float64(t.images)) < left/2 {
			return n
		}
	}
	return 0
}

// trial times steps of one batch size. It is left behind, still running, when the context ends first.
func (c *check) trial(ctx context.Context, cfg model.Config) (t timing, err error) {
	result := make(chan timing, 1)
	err = machine.Interruptible(ctx, func() error {
		t, err := timeLearner(ctx, c.device, cfg, c.cfg.Seed, c.meanShape().Target, c.cfg.StartLR(), c.cfg.EMAMomentum)
		result <- t
		return err
	})
	if err == nil {
		t = <-result
	}
	return t, err
}

// A trial times so many steps, unless they take longer than that together.
const (
	trialSteps = 10
	trialTime  = 3 * time.Second
)

// timeLearner makes a learner and times its steps, on noise for images and on masks whose targets have the given length.
func timeLearner(ctx context.Context, d *model.Device, cfg model.Config, seed uint64, target int, rate, momentum float64) (t timing, err error) {
	begin := time.Now()
	masker, err := cfg.Masker()
	if err != nil {
		return t, err
	}
	step := int64(0)
	for masker.Draw(seed, step, 1).K != target {
		step++
	}
	masks := masker.Draw(seed, step, cfg.Batch)
	images := bench.Noise(cfg.Batch, cfg.Image*cfg.Image*3)
	l, err := model.NewLearner(d, cfg, seed)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := l.Compile(mask.Shape{Target: masks.K, Context: masks.C}); err != nil {
		return t, err
	}
	t.images = cfg.Batch
	var first, others float64
	for begun := time.Now(); t.steps == 0 || t.steps < trialSteps && time.Since(begun) < trialTime && ctx.Err() == nil; t.steps++ {
		uploaded, err := l.Upload(images)
		if err != nil {
			return t, err
		}
		start := time.Now()
		out, err := l.Step(model.StepInput{Images: uploaded, Masks: masks, LR: rate, EMAMomentum: momentum,
			Sources: model.SampleDepths(cfg.Depths, cfg.IntermediateRows, seed, step)})
		if err != nil {
			return t, err
		}
		t.skipped = t.skipped || out.Skipped
		if lap := time.Since(start).Seconds(); t.steps == 0 {
			first = lap
		} else {
			others += lap
		}
	}
	if t.seconds = first; t.steps > 1 {
		t.seconds = others / float64(t.steps-1)
	}
	t.whole, t.seen = time.Since(begin).Seconds(), l.Inspect()
	return t, nil
}

// failedStep reports a step that the device could not take.
func (c *check) failedStep(ctx context.Context, cfg model.Config, err error) {
	c.fault(ctx, "step", fmt.Errorf("a step of %d images: %w", cfg.Batch, machine.StepError(c.cfg, err, nil)))
}

// tellPace works out what an update takes.
func (c *check) tellPace(all []timing) {
	if len(all) == 0 && c.update > 0 {
		return // one block has told it
	}
	if len(all) == 0 {
		c.warn("step", "no step ended within %s, so nothing can be said of the time that the run takes", c.budget)
		return
	}
	last := all[len(all)-1]
	var measured []string
	for _, t := range all {
		measured = append(measured, fmt.Sprintf("%s for %d", settings.FormatSeconds(t.seconds), t.images))
	}
	text := fmt.Sprintf("measured %s images, targets of %d tokens", strings.Join(measured, ", "), c.meanShape().Target)
	switch {
	case last.images == c.cfg.Batch:
		c.update = last.seconds
	case len(all) == 1:
		c.update = last.seconds * float64(c.cfg.Batch) / float64(last.images)
		text += fmt.Sprintf("; the batch of %d is that multiple of it, which is too much by the optimiser's share", c.cfg.Batch)
	default:
		c.update = extrapolate(all[len(all)-2], last, c.cfg.Batch)
		text += fmt.Sprintf("; the batch of %d is scaled from the last two", c.cfg.Batch)
	}
	c.ok("step", "an update takes %s, %s images/s, %s FLOP/s (%s)", settings.FormatSeconds(c.update), settings.FormatNumber(float64(c.cfg.Batch)/c.update),
		settings.FormatNumber(float64(c.cfg.Batch)*c.operations()/c.update), text)
	if last.skipped {
		c.warn("step", "a gradient was not finite, on noise for images and initial weights")
	}
	if c.cfg.FusedAttention() && (last.seen.FusedAttention == 0 || last.seen.Products["Float32"] > 0) {
		c.warn("step", "slow forms in the program: %d fused attentions, matrix products by type %v", last.seen.FusedAttention, last.seen.Products)
	}
}

// extrapolate lays a line through two timings: a part of a step does not grow with the batch.
func extrapolate(a, b timing, batch int) float64 {
	slope := (b.seconds - a.seconds) / float64(b.images-a.images)
	slope = min(max(slope, 0), b.seconds/float64(b.images)) // steps that are too short to time must not lead below 0
	return b.seconds + slope*float64(batch-b.images)
}

// tooLong is a run that nobody means.
const tooLong = 30 * 24 * 3600

// tellTime predicts the hours of what is left of the run.
func (c *check) tellTime(context.Context) {
	if c.update == 0 || c.updates() == 0 {
		return
	}
	left := c.updates()
	switch c.at.Phase {
	case record.Pretraining:
		left -= c.at.Step
	case record.Probing:
		left = 0
	}
	pretrain := float64(left) * c.update
	index := c.data.Index
	train, validation := index.Counts[machine.TrainSplit], index.Counts[machine.ValidationSplit]
	reads := c.cfg.ProbeEpochs*train + validation // images of one encoder
	if c.cfg.KNNK > 0 {
		known := train
		if c.cfg.KNNBank > 0 {
			known = min(c.cfg.KNNBank, train)
		}
		reads += known + validation
	}
	image := c.update / float64(c.cfg.Batch) * c.cfg.Model().EncoderFLOPs() / c.operations()
	probe := 2 * float64(reads) * image
	tell := c.ok
	if pretrain+probe > tooLong {
		tell = c.warn
	}
	tell("time", "pretraining %s for %d updates, the probes about %s (by operations, for %d images through two encoders): %s in all, while images come as fast as steps take them",
		settings.FormatSeconds(pretrain), left, settings.FormatSeconds(probe), reads, settings.FormatSeconds(pretrain+probe))
}

// tellPreemption says what a preemption costs and whether the last checkpoint fits its deadline.
func (c *check) tellPreemption(context.Context) {
	if c.rate == 0 {
		return
	}
	bytes := float64(c.cfg.Model().StateBytes())
	upload, deadline := bytes/c.rate, c.cfg.StopDeadline().Seconds()
	if upload > c.cfg.SaveEvery.Seconds() {
		c.warn("save", "a checkpoint of %s takes %s to upload, longer than %s=%s: checkpoints follow each other without a pause", settings.FormatBytes(bytes), settings.FormatSeconds(upload), settings.Variable("SaveEvery"), c.cfg.SaveEvery)
	}
	last := fmt.Sprintf("the last checkpoint, %s in %s,", settings.FormatBytes(bytes), settings.FormatSeconds(upload))
	setting := fmt.Sprintf("%s=%s", settings.Variable("StopGrace"), c.cfg.StopGrace)
	kill := fmt.Sprintf("a kill without warning costs up to %s of computing", settings.FormatSeconds(max(c.cfg.SaveEvery.Seconds(), c.update)+upload))
	switch {
	case upload > deadline:
		c.warn("preemption", "%s does not fit %s: SIGTERM costs as much as a kill; %s", last, setting, kill)
	case c.update > deadline:
		c.warn("preemption", "%s fits %s, but the update in flight takes %s before that: a pod with a shorter grace period is killed in it; %s", last, setting, settings.FormatSeconds(c.update), kill)
	case c.update > 0:
		c.ok("preemption", "%s fits %s after the update in flight (%s): SIGTERM costs no update; %s", last, setting, settings.FormatSeconds(c.update), kill)
	default:
		c.ok("preemption", "%s fits %s: SIGTERM costs no update; %s", last, setting, kill)
	}
}
