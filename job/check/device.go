package check

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/settings"
)

// checkDevice opens the device. Programs are kept where a run on this machine finds them.
func (c *check) checkDevice(ctx context.Context) {
	programs := machine.NewProgramStore(machine.ProgramFolder(c.cfg, c.log), c.log)
	device, err := machine.OpenDevice(c.cfg, programs, c.log)
	if err != nil {
		c.fault(ctx, "device", err)
		return
	}
	c.device = device
	c.ok("device", "%s", device.Description())
	if isGo(c.cfg) && c.cfg.Model().StateBytes() > largeState {
		c.slow = true
		c.fault(ctx, "device", backendFault(c.cfg, "the Go backend, which runs on the CPU, is not for a network of this size"))
	}
}

// isGo says whether the backend is GoMLX's own, in Go.
func isGo(c settings.Config) bool { return !strings.HasPrefix(c.Backend, "xla") }

// backendFault is a fault of the Go backend, with the remedy.
func backendFault(c settings.Config, what string) error {
	return settings.NewError("Backend", c.Backend, fmt.Sprintf("%s: set it to xla:/path/of/plugin.so; %s", what, machine.PluginSource))
}

// checkMemory estimates what the largest step of the run takes and compares it with the memory of
// the device, or else of the card. Where the device reports its memory, the step is tried, as a run
// does before its first update.
func (c *check) checkMemory(ctx context.Context) {
	fits := false
	if c.device != nil && c.device.Memory() != nil {
		cfg, err := machine.ChooseMicroBatch(ctx, c.device, c.cfg, c.recorded, false, c.log)
		if err != nil {
			c.fault(ctx, "memory", err)
		} else {
			c.cfg, fits = cfg, true
		}
	}
	shapes, err := machine.LargestFirst(c.cfg)
	if err != nil {
		return // settings.Load refuses such settings
	}
	need := c.cfg.Model().Need(shapes[0], c.cfg.FusedAttention())
	c.ok("memory", "state %s, exact: weights with two moments each, and the teacher; "+
		"a step gives back %s of it anew, and a checkpoint copies it, beside it",
		settings.FormatBytes(need.State), settings.FormatBytes(need.Results))
	workspace := ""
	if need.Workspace > 0 {
		workspace = fmt.Sprintf(", cuDNN's deterministic attention %s", settings.FormatBytes(need.Workspace))
	}
	c.ok("memory", "a pass of %d images keeps about %s, gradients take %s, three batches of images %s%s: "+
		"%s in all, an estimate for the largest mask shape",
		c.cfg.ImagesPerPass(), settings.FormatBytes(need.Activations), settings.FormatBytes(need.Gradients+need.Sums), settings.FormatBytes(need.Images), workspace,
		settings.FormatBytes(need.Total()))
	c.checkCard(ctx, need.Total(), fits)
	c.checkHost(ctx, need.Total())
}

// checkHost compares an estimate in bytes with the memory of the machine, where that is the
// device's as well.
func (c *check) checkHost(ctx context.Context, estimate int64) {
	onHost := isGo(c.cfg) || c.device != nil && c.device.Memory() == nil && machine.FirstCard(ctx, c.smi) == nil
	have := c.host()
	switch {
	case !onHost || have.Bytes == 0:
	case estimate > have.Bytes && c.slow: // another backend has memory of its own
		c.warn("memory", "the estimate of %s is more than the %s of %s", settings.FormatBytes(estimate), settings.FormatBytes(have.Bytes), have.Of)
	case estimate > have.Bytes:
		remedy := fmt.Sprintf("set %s=true, or take a smaller network", settings.Variable("Remat"))
		if n := c.cfg.ImagesPerPass(); n > 1 {
			remedy = fmt.Sprintf("set it to a divisor of %s=%d below %d, ", settings.Variable("Batch"), c.cfg.Batch, n) + remedy
		}
		c.fault(ctx, "memory", settings.NewError("MicroBatch", c.cfg.MicroBatch, fmt.Sprintf("the estimate of %s is more than the %s of %s: %s",
			settings.FormatBytes(estimate), settings.FormatBytes(have.Bytes), have.Of, remedy)))
	default:
		c.ok("memory", "that is %.2g %% of the %s of %s", 100*float64(estimate)/float64(have.Bytes), settings.FormatBytes(have.Bytes), have.Of)
	}
}

// checkCard compares an estimate in bytes with the memory of the device, or else of the first card.
// fits says that the largest step was tried.
func (c *check) checkCard(ctx context.Context, estimate int64, fits bool) {
	first := machine.FirstCard(ctx, c.smi)
	if first != nil && isGo(c.cfg) {
		c.warn("card", "%s is here, but %s=%s does not use it", first.Name, settings.Variable("Backend"), c.cfg.Backend)
		return
	}
	card, memory := "", 0.0
	if first != nil {
		memory = first.Memory
		card = fmt.Sprintf("%s, %s, driver %s", first.Name, settings.FormatBytes(memory), first.Driver)
	}
	if c.device != nil {
		if have := c.device.Memory(); have != nil && have.Limit > 0 {
			memory = float64(have.Limit)
			card = fmt.Sprintf("%s, of which the program may take %s",
				cmp.Or(card, c.device.Card()), settings.FormatBytes(memory))
		}
	}
	if memory == 0 {
		return
	}
	share := 100 * float64(estimate) / memory
	text := fmt.Sprintf("%s: the estimate is %.0f %% of its memory", card, share)
	switch {
	case fits:
		c.ok("card", "%s: the largest step was tried with passes of %d images, and fits; the estimate is %.0f %%",
			card, c.cfg.ImagesPerPass(), share)
	case share <= 90:
		c.ok("card", "%s", text)
	case c.cfg.MicroBatch == 0:
		c.warn("card", "%s; a run that begins here looks for the largest %s that fits", text, settings.Variable("MicroBatch"))
	default:
		c.warn("card", "%s; lower %s or set %s=true", text, settings.Variable("MicroBatch"), settings.Variable("Remat"))
	}
}
