package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/mask"
)

// DeviceError is a device that could not be opened or that failed. Another machine may do better.
type DeviceError struct{ Err error }

// Error returns the words of the backend.
func (e *DeviceError) Error() string { return e.Err.Error() }

// Unwrap returns the error of the backend.
func (e *DeviceError) Unwrap() error { return e.Err }

// PluginSource says how to come by a plugin.
const PluginSource = "for NVIDIA cards, in a checkout, pip install --no-deps --target DIR $(sed 's/ .*//' .image/cuda/*.txt) makes " +
	"DIR/jax_plugins/xla_cuda13/xla_cuda_plugin.so"

// OpenDevice opens the device. A backend that this program does not know, and a plugin that is not
// there, is a *settings.Error, any other failure a *DeviceError. Compiled programs go to programs,
// unless it is nil.
func OpenDevice(c settings.Config, programs *ProgramStore, log *slog.Logger) (*model.Device, error) {
	options := model.DeviceOptions{Flags: settings.XLAFlags(), Log: log}
	if programs != nil { // a nil pointer would be an interface that is not nil
		options.Programs = programs
	}
	device, err := options.Open(c.Backend)
	if err == nil {
		return device, nil
	}
	if field, ok := errors.AsType[*mask.FieldError](err); ok {
		want := field.Want
		if errors.Is(err, fs.ErrNotExist) {
			want += "; " + PluginSource
		}
		return nil, settings.NewError("Backend", c.Backend, want)
	}
	return nil, fmt.Errorf("%s: %w", settings.Variable("Backend"), &DeviceError{err})
}

// Interruptible runs f, which cannot be cancelled, such as a compiler. When ctx ends first, it
// returns the cause and leaves the goroutine running until the end of the process, which is near
// then. So f must not write to what the caller reads after an error, and nothing that f uses may be
// closed.
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
