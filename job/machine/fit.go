package machine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"

	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/mask"
)

// ChooseMicroBatch is cfg with the micro-batch that the run takes. It decides the last bits of a run, so a run keeps the one that run.json
// names on every device; where there is no run.json and no setting, it is the largest that fits with room to spare (Need.Roomy):
// the whole batch, or the next of its divisors. On a device that does not tell its memory nothing is tried, and it is the whole batch. With all, the
// steps of all mask shapes are compiled beside the largest one: a compiler keeps few cores busy, and the run will need them.
func ChooseMicroBatch(ctx context.Context, device *model.Device, cfg settings.Config, theirs *settings.Recipe, all bool, log *slog.Logger) (settings.Config, error) {
	candidates := []int{cfg.MicroBatch}
	switch {
	case theirs != nil && cfg.MicroBatch == 0:
		candidates[0] = theirs.MicroBatch
	case theirs == nil && cfg.MicroBatch == 0:
		candidates = microBatches(cfg.Batch)
	}
	have := device.Memory()
	var last *model.MemoryError
	for i, micro := range candidates {
		cfg.MicroBatch = micro
		if have == nil || have.Limit == 0 {
			return cfg, nil
		}
		shapes, need, err := LargestSteps(cfg)
		if err != nil {
			return cfg, err
		}
		if !all {
			shapes = shapes[:1]
		}
		choice := i < len(candidates)-1 // there are smaller ones
		if choice && float64(need.Roomy()) > hopeless*float64(have.Limit) {
			continue // and spare the time to compile it
		}
		var plan model.Plan
		err = Interruptible(ctx, func() (err error) {
			plan, err = model.Try(device, cfg.Model(), shapes...)
			return err
		})
		if choice && err == nil && plan.Roomy() > have.Limit {
			log.Info("the largest step fits, with no room to spare: a smaller one is tried", "batch", cfg.Batch, "micro_batch", Pass(cfg), "memory", have.Limit)
			continue
		}
		if err == nil {
			log.Info("the largest step fits", "batch", cfg.Batch, "micro_batch", Pass(cfg), "memory", have.Limit)
			return cfg, nil
		}
		if !errors.As(err, &last) {
			return cfg, fmt.Errorf("trying a step for targets of %d tokens: %w", shapes[0].Target, StepError(cfg, err, theirs))
		}
		log.Warn("the largest step does not fit", "batch", cfg.Batch, "micro_batch", Pass(cfg), "error", last)
	}
	return cfg, tooLarge(cfg, theirs, len(candidates) > 1, last)
}

// StepError is the error of a step's program, and what to do if it comes from cuDNN, which serves for attention alone.
func StepError(c settings.Config, err error, theirs *settings.Recipe) *DeviceError {
	if !Fused(c) || !attention.MatchString(err.Error()) {
		return &DeviceError{err}
	}
	with := ""
	if theirs != nil {
		with = " in another " + settings.Variable("Run")
	}
	return &DeviceError{fmt.Errorf("%w; if it is cuDNN's attention that fails, %s=true does without it%s", err, settings.Variable("PlainAttention"), with)}
}

// attention is what cuDNN's part of XLA calls itself.
var attention = regexp.MustCompile(`(?i)cudnn|\bfmha\b|DNN library`)

// Likely is cfg with the micro-batch that fitting is likely to find, by the sizes alone.
func Likely(cfg settings.Config, have *model.DeviceMemory) settings.Config {
	if cfg.MicroBatch > 0 || have == nil || have.Limit == 0 {
		return cfg
	}
	for _, micro := range microBatches(cfg.Batch) {
		cfg.MicroBatch = micro
		if _, need, err := LargestSteps(cfg); err != nil || need.Roomy() <= have.Limit {
			break
		}
	}
	return cfg
}

// hopeless is how far an estimate must be above what there is.
const hopeless = 1.15

// tooLarge says which setting to change. What the compiler has planned can never fit; what failed when it was tried may fit a
// device that nobody else uses, and a run that has begun may go on elsewhere.
func tooLarge(cfg settings.Config, theirs *settings.Recipe, chosen bool, err *model.MemoryError) error {
	micro, remat := settings.Variable("MicroBatch"), settings.Variable("Remat")
	switch {
	case theirs != nil:
		return &DeviceError{fmt.Errorf("this run was begun with passes of %d images, and here %w; give it a device with more memory, or begin another %s with a smaller %s",
			Pass(cfg), err, settings.Variable("Run"), micro)}
	case err.Err != nil && !chosen:
		return &DeviceError{fmt.Errorf("%w; free the device, set %s below %d, or %s=true", err, micro, Pass(cfg), remat)}
	case err.Err != nil:
		return &DeviceError{fmt.Errorf("not even one image at a time: %w; free the device, or set %s=true", err, remat)}
	case chosen:
		return &settings.Error{[]settings.Fault{{remat, fmt.Sprint(cfg.Remat), fmt.Sprintf("not even one image at a time fits: %v; set it to true, or take a smaller network", err)}}}
	}
	return &settings.Error{[]settings.Fault{{micro, fmt.Sprint(cfg.MicroBatch), fmt.Sprintf("%v; set it to a divisor of %s=%d below %d, or %s=true", err, settings.Variable("Batch"), cfg.Batch, Pass(cfg), remat)}}}
}

// microBatches are the passes that a batch can be cut into, the largest first; 0 is all of it.
func microBatches(batch int) []int {
	list := []int{0}
	for n := batch / 2; n > 0; n-- {
		if batch%n == 0 {
			list = append(list, n)
		}
	}
	return list
}

// Fused says whether attention is one operation of the device.
func Fused(c settings.Config) bool { return c.Model().Fused(c.Backend) }

// Pass is the number of images of one pass.
func Pass(c settings.Config) int {
	if c.MicroBatch == 0 {
		return c.Batch
	}
	return c.MicroBatch
}

// LargestSteps are the mask shapes of the run, those first whose steps need the most memory, and what the first ones need.
func LargestSteps(c settings.Config) (shapes []mask.Shape, most model.Need, err error) {
	m := c.Model()
	masker, err := m.Masker()
	if err != nil {
		return nil, most, err
	}
	total := func(s mask.Shape) int64 { return m.Need(s, Fused(c)).Total() }
	shapes = masker.Shapes()
	slices.SortStableFunc(shapes, func(a, b mask.Shape) int { return cmp.Compare(total(b), total(a)) })
	return shapes, m.Need(shapes[0], Fused(c)), nil
}
