package bench

import (
	"fmt"
	"io"
	"time"

	"github.com/cijepa/cijepa/job/machine"
)

// timedUploads is how often the copy of a batch is timed.
const timedUploads = 5

// timeUpload times the copy of a batch of images to the device, beside no step.
func (b *bench) timeUpload() error {
	var laps []time.Duration
	batch := noise(b.model)
	for range timedUploads {
		begin := time.Now()
		images, err := b.learner.Upload(batch)
		if err != nil {
			return fmt.Errorf("copying images: %w", &machine.DeviceError{Err: err})
		}
		laps = append(laps, time.Since(begin))
		if err := images.Free(); err != nil {
			return fmt.Errorf("freeing images: %w", &machine.DeviceError{Err: err})
		}
	}
	b.found.UploadSeconds, b.found.UploadBytes = seconds(median(laps)), int64(len(batch))
	return nil
}

// timeSnapshot times the copy of the state for a checkpoint and its way to the host. It does so
// twice, because the first time memory must be allocated.
func (b *bench) timeSnapshot() error {
	if err := b.learner.CompileSnapshot(); err != nil {
		return &machine.DeviceError{Err: err}
	}
	for range 2 {
		begin := time.Now()
		parts, err := b.learner.Snapshot()
		if err != nil {
			return &machine.DeviceError{Err: err}
		}
		b.found.PauseSeconds = max(b.found.PauseSeconds, seconds(time.Since(begin)))
		for _, p := range parts {
			if err := p.Write(io.Discard); err != nil {
				return &machine.DeviceError{Err: err}
			}
		}
		b.found.SavingRate = max(b.found.SavingRate, float64(b.found.StateBytes)/time.Since(begin).Seconds())
	}
	return nil
}
