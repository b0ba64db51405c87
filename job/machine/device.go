package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/mask"
)

// OpenDevice opens the device. A name that means nothing to this program can never work; what fails otherwise may do better on
// another machine.
func OpenDevice(c settings.Config, p *ProgramStore, log *slog.Logger) (*model.Device, error) {
	device, err := deviceOptions(p, log).Open(c.Backend)
	var field *mask.FieldError
	switch {
	case err == nil:
		return device, nil
	case errors.As(err, &field):
		return nil, settings.NewError("Backend", c.Backend, field.Want)
	}
	return nil, fmt.Errorf("%s: %w", settings.Variable("Backend"), &DeviceError{err})
}

// deviceOptions are those with which the program opens its device. Programs may be nil: then nothing compiled is kept.
func deviceOptions(p *ProgramStore, log *slog.Logger) model.DeviceOptions {
	o := model.DeviceOptions{Flags: settings.XLAFlags(), Log: log}
	if p != nil {
		o.Programs = p
	}
	return o
}

// Interruptible runs what cannot be cancelled, such as a compiler. When the context ends first it leaves the goroutine
// behind, and the end of the process, which is near then, ends it: so f must not write to what the caller still reads
// after an error, and Job.close leaves everything open under it.
func Interruptible(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// DeviceError is a device that cannot be opened or that failed in the middle: another machine may do better.
type DeviceError struct{ Err error }

// Error is the backend's.
func (e *DeviceError) Error() string { return e.Err.Error() }

// Unwrap gives the backend's error.
func (e *DeviceError) Unwrap() error { return e.Err }
