package check

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/settings"
)

// lookAtDevice opens the device.
func (c *check) lookAtDevice(ctx context.Context) {
	device, err := machine.OpenDevice(c.cfg, machine.NewProgramStore(machine.ProgramFolder(c.cfg), c.log), c.log)
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
	shapes, err := machine.LargestFirst(c.cfg)
	if err != nil {
		return // Load refuses such settings
	}
	need := c.cfg.Model().Need(shapes[0], c.cfg.FusedAttention())
	c.ok("memory", "state %s, exact: weights with two moments each, and the teacher; a step gives back %s of it anew, and a checkpoint copies it, beside it", settings.FormatBytes(float64(need.State)), settings.FormatBytes(float64(need.Results)))
	c.ok("memory", "a pass of %d images keeps about %s, gradients take %s, three batches of images %s: %s in all, an estimate for the largest mask shape",
		c.cfg.ImagesPerPass(), settings.FormatBytes(float64(need.Activations)), settings.FormatBytes(float64(need.Gradients+need.Sums)), settings.FormatBytes(float64(need.Images)), settings.FormatBytes(float64(need.Total())))
	first := machine.FirstCard(ctx, c.smi)
	if first != nil && !strings.HasPrefix(c.cfg.Backend, "xla") {
		c.warn("card", "%s is here, but %s=%s does not use it", first.Name, settings.Variable("Backend"), c.cfg.Backend)
		return
	}
	card, memory := "", 0.0
	if first != nil {
		card, memory = fmt.Sprintf("%s, %s, driver %s", first.Name, settings.FormatBytes(first.Memory), first.Driver), first.Memory
	}
	if c.device != nil {
		if have := c.device.Memory(); have != nil && have.Limit > 0 {
			memory = float64(have.Limit)
			card = fmt.Sprintf("%s, of which the program may take %s", cmp.Or(card, c.device.Card()), settings.FormatBytes(memory))
		}
	}
	share := 100 * float64(need.Total()) / memory
	switch {
	case memory == 0: // nobody tells
	case fits:
		c.ok("card", "%s: the largest step was tried with passes of %d images, and fits; the estimate is %.0f %%", card, c.cfg.ImagesPerPass(), share)
	case share <= 90:
		c.ok("card", "%s: the estimate is %.0f %% of its memory", card, share)
	case c.cfg.MicroBatch == 0:
		c.warn("card", "%s: the estimate is %.0f %% of its memory; a run that begins here looks for the largest %s that fits", card, share, settings.Variable("MicroBatch"))
	default:
		c.warn("card", "%s: the estimate is %.0f %% of its memory; lower %s or set %s=true", card, share, settings.Variable("MicroBatch"), settings.Variable("Remat"))
	}
}
