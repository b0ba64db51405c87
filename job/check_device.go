package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/cijepa/cijepa/model"
)

// lookAtDevice opens the device.
func (c *check) lookAtDevice(ctx context.Context) {
	device, err := c.cfg.deviceOptions(&programs{c.cfg.programsFolder(), nil, c.log}, c.log).Open(c.cfg.Backend)
	var field *model.FieldError
	switch {
	case errors.As(err, &field):
		c.wrong(ctx, "device", "Backend", c.cfg.Backend, "%s", field.Want)
		return
	case err != nil:
		c.fault(ctx, "device", fmt.Errorf("%s: %w", variable("Backend"), &DeviceError{err}))
		return
	}
	c.device = device
	c.ok("device", "%s: %s", c.cfg.Backend, device.Description())
}

// lookAtMemory tells what the state takes, estimates the rest, and compares the sum with the card, if there is one.
func (c *check) lookAtMemory(ctx context.Context) {
	s := c.sizes()
	state, gradients, activations := float64(s.stateBytes()), float64(s.gradientBytes()), float64(s.activationBytes())
	need := state + gradients + activations
	c.ok("memory", "state %s, exact: %d trained weights with two moments each, and the teacher; gradients of a step %s", amount(state), s.trained(), amount(gradients))
	c.ok("memory", "activations of one pass of %d images about %s, an estimate: %s; with state and gradients about %s", s.pass(), amount(activations), activationFormula, amount(need))
	name, memory, driver, ok := c.card(ctx)
	switch {
	case !ok:
	case !strings.HasPrefix(c.cfg.Backend, "xla"):
		c.warn("card", "%s is here, but %s=%s does not use it", name, variable("Backend"), c.cfg.Backend)
	case need > 0.9*memory:
		c.warn("card", "%s, %s, driver %s: the estimate is %.0f %% of its memory; lower %s or set %s=true", name, amount(memory), driver, 100*need/memory, variable("MicroBatch"), variable("Remat"))
	default:
		c.ok("card", "%s, %s, driver %s: the estimate is %.0f %% of its memory", name, amount(memory), driver, 100*need/memory)
	}
}

// card asks for the first card of this machine. Where nobody answers there is none, or none that can be asked.
func (c *check) card(ctx context.Context) (name string, memory float64, driver string, ok bool) {
	text, err := c.smi(ctx)
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
