package check

import (
	"context"
	"fmt"
	"strings"

	"github.com/cijepa/cijepa/job/bench"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/settings"
)

// lookAtDevice opens the device.
func (c *check) lookAtDevice(ctx context.Context) {
	device, err := machine.OpenDevice(c.cfg, machine.NewPrograms(machine.ProgramsFolder(c.cfg), c.log), c.log)
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
		cfg, err := machine.ChooseMicroBatch(ctx, c.device, c.cfg, c.theirs, false, c.log)
		if err != nil {
			c.fault(ctx, "memory", err)
		} else {
			c.cfg, fits = cfg, true
		}
	}
	_, need, err := machine.LargestSteps(c.cfg)
	if err != nil {
		return // Load refuses such settings
	}
	c.ok("memory", "state %s, exact: weights with two moments each, and the teacher; a step gives back %s of it anew, and a checkpoint copies it, beside it", settings.Amount(float64(need.State)), settings.Amount(float64(need.Results)))
	c.ok("memory", "a pass of %d images keeps about %s, gradients take %s, three batches of images %s: %s in all, an estimate for the largest mask shape",
		machine.Pass(c.cfg), settings.Amount(float64(need.Activations)), settings.Amount(float64(need.Gradients+need.Sums)), settings.Amount(float64(need.Images)), settings.Amount(float64(need.Total())))
	name, memory, driver, ok := bench.FirstCard(ctx, c.smi)
	if ok && !strings.HasPrefix(c.cfg.Backend, "xla") {
		c.warn("card", "%s is here, but %s=%s does not use it", name, settings.Variable("Backend"), c.cfg.Backend)
		return
	}
	on := fmt.Sprintf("%s, %s, driver %s", name, settings.Amount(memory), driver)
	if c.device != nil {
		if have := c.device.Memory(); have != nil && have.Limit > 0 {
			if !ok {
				on = c.device.Card()
			}
			ok, memory = true, float64(have.Limit)
			on += fmt.Sprintf(", of which the program may take %s", settings.Amount(memory))
		}
	}
	share := 100 * float64(need.Total()) / memory
	switch {
	case !ok:
	case fits:
		c.ok("card", "%s: the largest step was tried with passes of %d images, and fits; the estimate is %.0f %%", on, machine.Pass(c.cfg), share)
	case share <= 90:
		c.ok("card", "%s: the estimate is %.0f %% of its memory", on, share)
	case c.cfg.MicroBatch == 0:
		c.warn("card", "%s: the estimate is %.0f %% of its memory; a run that begins here looks for the largest %s that fits", on, share, settings.Variable("MicroBatch"))
	default:
		c.warn("card", "%s: the estimate is %.0f %% of its memory; lower %s or set %s=true", on, share, settings.Variable("MicroBatch"), settings.Variable("Remat"))
	}
}
