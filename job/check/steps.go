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
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/mask"
)

// trial is what timing steps of one batch size found.
type trial struct {
	images  int     // of a step
	seconds float64 // of a step
	steps   int     // that were taken
	whole   float64 // seconds of the trial, with the making of the learner and its program
	share   float64 // of the FLOPs for an image of the run's network
	skipped bool    // a gradient was not finite
	seen    model.Inspection
}

// estimate returns the seconds that the trial would have taken with another number of steps.
func (t trial) estimate(steps float64) float64 {
	return t.whole + (steps-float64(t.steps))*t.seconds
}

// errBudget ends a trial that does not fit into the budget.
var errBudget = errors.New("timing steps took too long")

// timeSteps times real steps. On XLA the batch is the run's own. The Go backend may need hours for
// that one, so there the batch grows from one image for as long as the budget is likely to last;
// and if the network is large, one block of it stands for the others first.
func (c *check) timeSteps(ctx context.Context) {
	if c.device == nil {
		return
	}
	limited, cancel := context.WithTimeoutCause(ctx, c.budget, errBudget)
	defer cancel()
	begin := time.Now()
	cfg := c.cfg.Model()
	whole := cfg
	if isGo(c.cfg) {
		cfg.Batch, cfg.MicroBatch = 1, 0
		if whole = cfg; c.cfg.Model().StateBytes() > largeState {
			cfg = oneBlock(cfg)
		}
	}
	var trials []trial
	for cfg.Batch > 0 {
		t, err := c.runTrial(limited, cfg)
		if errors.Is(err, errBudget) || ctx.Err() != nil {
			break
		}
		if err != nil {
			c.fault(ctx, "step", fmt.Errorf("a step of %d images: %w", cfg.Batch, machine.StepError(c.cfg, err, nil)))
			return
		}
		left := (c.budget - time.Since(begin)).Seconds()
		if t.share < 1 {
			c.update = t.seconds / t.share * float64(c.cfg.Batch)
			c.reportOneBlock(t)
			if t.estimate(1)/t.share > left/2 {
				return
			}
			cfg = whole
			continue
		}
		trials = append(trials, t)
		if c.count(Fault) > 0 {
			break // the device works; how long a run takes that cannot begin is of no use
		}
		cfg.Batch = c.nextBatch(t, left)
	}
	if ctx.Err() == nil {
		c.reportSteps(trials)
	}
}

// largeState is the size in bytes of a state that two cores take long to draw.
const largeState = 500e6

// oneBlock cuts a network down to one block, one pathway and one predictor block of the same
// widths. Its weights and its FLOPs shrink by much the same factor.
func oneBlock(cfg model.Config) model.Config {
	cfg.Depth, cfg.Depths, cfg.PredictorDepth, cfg.IntermediateRows = 1, []int{0}, 1, 0
	return cfg
}

// nextBatch returns the next batch size to time in the seconds that are left, or 0.
func (c *check) nextBatch(t trial, left float64) int {
	for _, factor := range []int{4, 2} {
		n := min(factor*t.images, c.cfg.Batch)
		if n > t.images && t.estimate(2*float64(n)/float64(t.images)) < left/2 {
			return n
		}
	}
	return 0
}

// A trial takes so many steps, unless they take longer than that together.
const (
	trialSteps = 10
	trialTime  = 3 * time.Second
)

// runTrial makes a learner and times its steps. When ctx ends first, the trial runs on until the
// end of the process.
func (c *check) runTrial(ctx context.Context, cfg model.Config) (trial, error) {
	shape := c.meanShape()
	if !isGo(c.cfg) { // which takes minutes on a GPU, and no time in Go
		c.log.Info("compiling", "programs", cfg.Programs(1))
	}
	t := &trial{share: c.share(cfg)}
	err := machine.Interruptible(ctx, func() error { return c.measure(ctx, cfg, shape, t) })
	if err != nil {
		return trial{}, err // an abandoned trial may still write to t
	}
	return *t, nil
}

// measure fills a trial in. It may run after the check has ended.
func (c *check) measure(ctx context.Context, cfg model.Config, shape mask.Shape, t *trial) error {
	begin := time.Now()
	learner, err := model.NewLearner(c.device, cfg, c.cfg.Seed)
	if err != nil {
		return err
	}
	err = learner.Compile(shape)
	var times bench.StepTimes
	if err == nil {
		times, err = bench.TimeSteps(ctx, learner, bench.Trial{
			Model: cfg, Shape: shape, Seed: c.cfg.Seed, LR: c.cfg.StartLR(), EMAMomentum: c.cfg.EMAMomentum,
			Warmup: 1, Steps: trialSteps - 1, Limit: trialTime,
		})
	}
	t.images, t.seconds, t.steps, t.whole = cfg.Batch, times.Typical().Seconds(), times.Taken, time.Since(begin).Seconds()
	t.skipped, t.seen = times.Skipped > 0, learner.Inspect()
	return errors.Join(err, learner.Close())
}

// share returns the FLOPs of a network for an image as a share of those of the run's network.
func (c *check) share(cfg model.Config) float64 { return cfg.FLOPs(c.meanShape()) / c.flops() }

// flops returns the FLOPs of one image in a step, at the mask shape nearest to the mean.
func (c *check) flops() float64 { return c.cfg.Model().FLOPs(c.meanShape()) }

// meanShape returns the mask shape of the run whose target length is nearest to the mean.
func (c *check) meanShape() mask.Shape {
	if c.shape.Target > 0 {
		return c.shape
	}
	masker, err := c.cfg.Model().Masker()
	if err != nil {
		return c.shape // settings.Load refuses such settings
	}
	mean := 0.0
	for _, s := range masker.Shapes() {
		mean += s.Probability * float64(s.Target)
	}
	for i, s := range masker.Shapes() {
		if i == 0 || math.Abs(float64(s.Target)-mean) < math.Abs(float64(c.shape.Target)-mean) {
			c.shape = s
		}
	}
	return c.shape
}

// reportOneBlock reports what an update takes, by a step of one block.
func (c *check) reportOneBlock(t trial) {
	c.ok("step", "an update takes about %s, %s images/s (scaled by operations from %s "+
		"for one image through one block and one predictor block, which are %.3g of the whole)",
		settings.FormatSeconds(c.update), settings.FormatNumber(float64(c.cfg.Batch)/c.update), settings.FormatSeconds(t.seconds), t.share)
}

// reportSteps reports what an update takes, by steps of the run's network.
func (c *check) reportSteps(trials []trial) {
	if len(trials) == 0 && c.update > 0 {
		return // reportOneBlock has reported it
	}
	if len(trials) == 0 {
		c.warn("step", "no step ended within %s, so nothing can be said of the time that the run takes", c.budget)
		return
	}
	last := trials[len(trials)-1]
	var measured []string
	for _, t := range trials {
		measured = append(measured, fmt.Sprintf("%s for %d", settings.FormatSeconds(t.seconds), t.images))
	}
	text := fmt.Sprintf("measured %s images, targets of %d tokens", strings.Join(measured, ", "), c.meanShape().Target)
	switch {
	case last.images == c.cfg.Batch:
		c.update = last.seconds
	case len(trials) == 1:
		c.update = last.seconds * float64(c.cfg.Batch) / float64(last.images)
		text += fmt.Sprintf("; the batch of %d is that multiple of it, which is too much by the optimiser's share",
			c.cfg.Batch)
	default:
		c.update = extrapolate(trials[len(trials)-2], last, c.cfg.Batch)
		text += fmt.Sprintf("; the batch of %d is scaled from the last two", c.cfg.Batch)
	}
	rate := float64(c.cfg.Batch) / c.update
	c.ok("step", "an update takes %s, %s images/s, %s FLOP/s (%s)",
		settings.FormatSeconds(c.update), settings.FormatNumber(rate), settings.FormatNumber(rate*c.flops()), text)
	if last.skipped {
		c.warn("step", "a gradient was not finite, on noise for images and initial weights")
	}
	if c.cfg.FusedAttention() && (last.seen.FusedAttention == 0 || last.seen.Products["Float32"] > 0) {
		c.warn("step", "slow forms in the program: %d fused attentions, matrix products by type %v",
			last.seen.FusedAttention, last.seen.Products)
	}
}

// extrapolate returns the seconds of a step of another batch, on the line through two trials: part
// of a step does not grow with the batch.
func extrapolate(a, b trial, batch int) float64 {
	slope := (b.seconds - a.seconds) / float64(b.images-a.images)
	slope = min(max(slope, 0), b.seconds/float64(b.images)) // noise of short steps must not lead below 0
	return b.seconds + slope*float64(batch-b.images)
}
