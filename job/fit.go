package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cijepa/cijepa/model"
)

// fit settles the micro-batch before the run begins, and finds out before its first update whether the device has the memory
// for it. begun is the recipe of a run that has begun; nil: of none.
func (j *Job) fit(ctx context.Context, begun *Recipe) (err error) {
	j.live.Doing("trying the largest step")
	j.cfg, err = fitting(ctx, j.device, j.cfg, begun, j.log)
	return err
}

// fitting is cfg with the micro-batch that the run takes. It decides the last bits of a run, so a run keeps the one that run.json
// names on every device; where there is no run.json and no setting, it is the largest that fits: the whole batch, or
// the next of its divisors. On a device that does not tell its memory nothing is tried, and it is the whole batch.
func fitting(ctx context.Context, device *model.Device, cfg Config, begun *Recipe, log *slog.Logger) (Config, error) {
	candidates := []int{cfg.MicroBatch}
	switch {
	case begun != nil && cfg.MicroBatch == 0:
		candidates[0] = begun.MicroBatch
	case begun == nil && cfg.MicroBatch == 0:
		candidates = microBatches(cfg.Batch)
	}
	have := device.Memory()
	var last *model.MemoryError
	for i, micro := range candidates {
		cfg.MicroBatch = micro
		if have == nil || have.Limit == 0 {
			return cfg, nil
		}
		shape, need, err := cfg.largestStep()
		if err != nil {
			return cfg, err
		}
		if i < len(candidates)-1 && float64(need.Total()) > hopeless*float64(have.Limit) {
			continue // and spare the time to compile it
		}
		err = interruptible(ctx, func() error { return model.Try(device, cfg.Model(), shape) })
		if err == nil {
			log.Info("the largest step fits", "batch", cfg.Batch, "micro_batch", cfg.pass(), "memory", have.Limit)
			return cfg, nil
		}
		if !errors.As(err, &last) {
			return cfg, fmt.Errorf("trying a step for targets of %d tokens: %w", shape.Target, &DeviceError{err})
		}
		log.Warn("the largest step does not fit", "batch", cfg.Batch, "micro_batch", cfg.pass(), "error", last)
	}
	return cfg, tooLarge(cfg, begun, len(candidates) > 1, last)
}

// hopeless is how far an estimate must be above what there is.
const hopeless = 1.15

// tooLarge says which setting to change. What the compiler has planned can never fit; what failed when it was tried may fit a
// device that nobody else uses, and a run that has begun may go on elsewhere.
func tooLarge(cfg Config, begun *Recipe, chosen bool, err *model.MemoryError) error {
	micro, remat := variable("MicroBatch"), variable("Remat")
	switch {
	case begun != nil:
		return &DeviceError{fmt.Errorf("this run was begun with passes of %d images, and here %w; give it a device with more memory, or begin another %s with a smaller %s",
			cfg.pass(), err, variable("Run"), micro)}
	case err.Err != nil && !chosen:
		return &DeviceError{fmt.Errorf("%w; free the device, set %s below %d, or %s=true", err, micro, cfg.pass(), remat)}
	case err.Err != nil:
		return &DeviceError{fmt.Errorf("not even one image at a time: %w; free the device, or set %s=true", err, remat)}
	case chosen:
		return &SettingsError{[]Fault{{remat, fmt.Sprint(cfg.Remat), fmt.Sprintf("not even one image at a time fits: %v; set it to true, or take a smaller network", err)}}}
	}
	return &SettingsError{[]Fault{{micro, fmt.Sprint(cfg.MicroBatch), fmt.Sprintf("%v; set it to a divisor of %s=%d below %d, or %s=true", err, variable("Batch"), cfg.Batch, cfg.pass(), remat)}}}
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

// pass is the number of images of one pass.
func (c Config) pass() int {
	if c.MicroBatch == 0 {
		return c.Batch
	}
	return c.MicroBatch
}

// largestStep is the mask shape of the run whose steps need the most memory, and what they need.
func (c Config) largestStep() (largest model.MaskShape, most model.Need, err error) {
	m := c.Model()
	masker, err := model.NewMasker(m.Grid(), m.Masks)
	if err != nil {
		return largest, most, err
	}
	for _, s := range masker.Shapes() {
		if need := m.Need(s, c.fused()); need.Total() > most.Total() {
			largest, most = s, need
		}
	}
	return largest, most, nil
}
