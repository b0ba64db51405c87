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

// ChooseMicroBatch returns cfg with the micro-batch of the run, and finds out whether its largest
// step fits into the memory of the device. The micro-batch decides the last bits of a run, so a run
// that has begun keeps the one of its recipe on every device. Otherwise, unless it is set, it is
// the largest divisor of the batch for which model.Try says that a step fits with room for a second
// temporary block and for cuDNN's workspace; the whole batch is 0.
//
// On a device that does not report its memory nothing is tried, and the choice is the whole batch.
// With all, the steps of all mask shapes are compiled beside the largest one: a compiler keeps few
// cores busy, and the run will need them.
func ChooseMicroBatch(ctx context.Context, device *model.Device, cfg settings.Config, recorded *settings.Recipe, all bool,
	log *slog.Logger,
) (settings.Config, error) {
	candidates := []int{cfg.MicroBatch}
	switch {
	case cfg.MicroBatch > 0:
	case recorded != nil:
		candidates[0] = recorded.MicroBatch
	default:
		candidates = microBatches(cfg.Batch)
	}
	memory := device.Memory()
	var tooLarge *model.MemoryError
	for i, micro := range candidates {
		cfg.MicroBatch = micro
		if memory == nil || memory.Limit == 0 {
			return cfg, nil
		}
		shapes, err := LargestFirst(cfg)
		if err != nil {
			return cfg, err
		}
		if !all {
			shapes = shapes[:1]
		}
		tried := log.With("batch", cfg.Batch, "micro_batch", cfg.ImagesPerPass(), "memory", memory.Limit)
		tried.Info("compiling", "programs", cfg.Model().Programs(len(shapes)))
		var plan model.Plan
		err = Interruptible(ctx, func() (err error) {
			plan, err = model.Try(device, cfg.Model(), shapes...)
			return err
		})
		last := i == len(candidates)-1
		switch {
		case err == nil && (last || plan.Roomy() <= memory.Limit):
			tried.Info("the largest step fits")
			return cfg, nil
		case err == nil:
			tried.Info("the largest step fits, but without the room that model.Plan.Roomy asks for")
		case errors.As(err, &tooLarge):
			tried.Warn("the largest step does not fit", "error", err)
		default:
			return cfg, fmt.Errorf("trying a step for targets of %d tokens: %w",
				shapes[0].Target, StepError(cfg, err, recorded))
		}
	}
	return cfg, memoryFault(cfg, recorded, len(candidates) > 1, tooLarge)
}

// microBatches lists the micro-batches that a batch can be cut into, the largest first; 0 is all of
// it.
func microBatches(batch int) []int {
	list := []int{0}
	for n := batch / 2; n > 0; n-- {
		if batch%n == 0 {
			list = append(list, n)
		}
	}
	return list
}

// LargestFirst returns the mask shapes of the run. Those whose steps need the most memory, by the
// estimate of model.Config.Need, come first.
func LargestFirst(c settings.Config) ([]mask.Shape, error) {
	m := c.Model()
	masker, err := m.Masker()
	if err != nil {
		return nil, err
	}
	total := func(s mask.Shape) int64 { return m.Need(s, c.FusedAttention()).Total() }
	shapes := masker.Shapes()
	slices.SortStableFunc(shapes, func(a, b mask.Shape) int { return cmp.Compare(total(b), total(a)) })
	return shapes, nil
}

// memoryFault says which setting to change. A step that the compiler planned too large can never
// fit, so that is a fault of the settings. A step that failed when it was tried may fit while no
// other process uses the device, and a run that has begun may go on on another machine: those are
// faults of the device.
func memoryFault(cfg settings.Config, recorded *settings.Recipe, chosen bool, err *model.MemoryError) error {
	micro, remat := settings.Variable("MicroBatch"), settings.Variable("Remat")
	switch {
	case recorded != nil:
		return &DeviceError{fmt.Errorf("this run was begun with passes of %d images, and here %w; "+
			"give it a device with more memory, or begin another %s with a smaller %s",
			cfg.ImagesPerPass(), err, settings.Variable("Run"), micro)}
	case err.Err != nil && !chosen:
		return &DeviceError{fmt.Errorf("%w; free the device, set %s below %d, or %s=true", err, micro, cfg.ImagesPerPass(), remat)}
	case err.Err != nil:
		return &DeviceError{fmt.Errorf("not even one image at a time: %w; free the device, or set %s=true", err, remat)}
	case chosen:
		return settings.NewError("Remat", cfg.Remat,
			fmt.Sprintf("not even one image at a time fits: %v; set it to true, or take a smaller network", err))
	}
	return settings.NewError("MicroBatch", cfg.MicroBatch, fmt.Sprintf("%v; set it to a divisor of %s=%d below %d, or %s=true",
		err, settings.Variable("Batch"), cfg.Batch, cfg.ImagesPerPass(), remat))
}

// StepError is the error of a step's program. If it comes from cuDNN, which serves for attention
// alone, it names the setting that does without. A run that has begun (recorded is not nil) cannot
// change that setting.
func StepError(c settings.Config, err error, recorded *settings.Recipe) *DeviceError {
	if !c.FusedAttention() || !cuDNN.MatchString(err.Error()) {
		return &DeviceError{err}
	}
	with := ""
	if recorded != nil {
		with = " in another " + settings.Variable("Run")
	}
	return &DeviceError{fmt.Errorf("%w; if it is cuDNN's attention that fails, %s=true does without it%s",
		err, settings.Variable("PlainAttention"), with)}
}

// cuDNN matches the names that cuDNN's part of XLA goes by in errors.
var cuDNN = regexp.MustCompile(`(?i)cudnn|\bfmha\b|DNN library`)
