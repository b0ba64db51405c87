package job

import (
	"context"
	"fmt"
	"strings"
)

// lookAtDevice opens the device.
func (c *check) lookAtDevice(ctx context.Context) {
	device, err := openDevice(c.cfg, newPrograms(programsFolder(c.cfg), c.log), c.log)
	if err != nil {
		c.fault(ctx, "device", err)
		return
	}
	c.device = device
	c.ok("device", "%s: %s", c.cfg.Backend, device.Description())
}

// lookAtMemory tells what the largest step of the run takes, and compares it with what the device gives, or else with the
// card. A device that tells its memory takes such a step, as it will before the run's first update.
func (c *check) lookAtMemory(ctx context.Context) {
	fits := false
	if c.device != nil && c.device.Memory() != nil {
		cfg, err := fitting(ctx, c.device, c.cfg, c.theirs, false, c.log)
		if err != nil {
			c.fault(ctx, "memory", err)
		} else {
			c.cfg, fits = cfg, true
		}
	}
	_, need, err := largestSteps(c.cfg)
	if err != nil {
		return // Load refuses such settings
	}
	c.ok("memory", "state %s, exact: weights with two moments each, and the teacher; a step gives back %s of it anew, and a checkpoint copies it, beside it", amount(float64(need.State)), amount(float64(need.Results)))
	c.ok("memory", "a pass of %d images keeps about %s, gradients take %s, three batches of images %s: %s in all, an estimate for the largest mask shape",
		pass(c.cfg), amount(float64(need.Activations)), amount(float64(need.Gradients+need.Sums)), amount(float64(need.Images)), amount(float64(need.Total())))
	name, memory, driver, ok := firstCard(ctx, c.smi)
	if ok && !strings.HasPrefix(c.cfg.Backend, "xla") {
		c.warn("card", "%s is here, but %s=%s does not use it", name, variable("Backend"), c.cfg.Backend)
		return
	}
	on := fmt.Sprintf("%s, %s, driver %s", name, amount(memory), driver)
	if c.device != nil {
		if have := c.device.Memory(); have != nil && have.Limit > 0 {
			if !ok {
				on = c.device.Card()
			}
			ok, memory = true, float64(have.Limit)
			on += fmt.Sprintf(", of which the program may take %s", amount(memory))
		}
	}
	share := 100 * float64(need.Total()) / memory
	switch {
	case !ok:
	case fits:
		c.ok("card", "%s: the largest step was tried with passes of %d images, and fits; the estimate is %.0f %%", on, pass(c.cfg), share)
	case share <= 90:
		c.ok("card", "%s: the estimate is %.0f %% of its memory", on, share)
	case c.cfg.MicroBatch == 0:
		c.warn("card", "%s: the estimate is %.0f %% of its memory; a run that begins here looks for the largest %s that fits", on, share, variable("MicroBatch"))
	default:
		c.warn("card", "%s: the estimate is %.0f %% of its memory; lower %s or set %s=true", on, share, variable("MicroBatch"), variable("Remat"))
	}
}
