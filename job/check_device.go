package job

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// lookAtDevice opens the device.
func (c *check) lookAtDevice(ctx context.Context) {
	device, err := c.cfg.openDevice(&programs{folder: c.cfg.programsFolder(), log: c.log}, c.log)
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
	_, need, err := c.cfg.largestSteps()
	if err != nil {
		return // Load refuses such settings
	}
	c.ok("memory", "state %s, exact: weights with two moments each, and the teacher; a step gives back %s of it anew, and a checkpoint copies it, beside it", amount(float64(need.State)), amount(float64(need.Results)))
	c.ok("memory", "a pass of %d images keeps about %s, gradients take %s, three batches of images %s: %s in all, an estimate for the largest mask shape",
		c.cfg.pass(), amount(float64(need.Activations)), amount(float64(need.Gradients+need.Sums)), amount(float64(need.Images)), amount(float64(need.Total())))
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
		c.ok("card", "%s: the largest step was tried with passes of %d images, and fits; the estimate is %.0f %%", on, c.cfg.pass(), share)
	case share <= 90:
		c.ok("card", "%s: the estimate is %.0f %% of its memory", on, share)
	case c.cfg.MicroBatch == 0:
		c.warn("card", "%s: the estimate is %.0f %% of its memory; a run that begins here looks for the largest %s that fits", on, share, variable("MicroBatch"))
	default:
		c.warn("card", "%s: the estimate is %.0f %% of its memory; lower %s or set %s=true", on, share, variable("MicroBatch"), variable("Remat"))
	}
}

// firstCard asks for the first card of this machine. Where nobody answers there is none, or none that can be asked.
func firstCard(ctx context.Context, smi func(context.Context) ([]byte, error)) (name string, memory float64, driver string, ok bool) {
	text, err := smi(ctx)
	if err != nil {
		return "", 0, "", false
	}
	first, _, _ := bytes.Cut(bytes.TrimSpace(text), []byte("\n"))
	fields := strings.Split(string(first), ",")
	var size Bytes
	if len(fields) != 3 || size.Decode(strings.TrimSpace(fields[1])) != nil || size == 0 {
		return "", 0, "", false
	}
	return strings.TrimSpace(fields[0]), float64(size), strings.TrimSpace(fields[2]), true
}

// nvidiaSMI prints name, memory and driver of each card, one a line.
func nvidiaSMI(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader").Output()
}
