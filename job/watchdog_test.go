package job

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/settings"
)

// TestHungRunEndsAsADeviceError: a run without progress is told with where it hangs, after the time
// that a healthy one may take, and not at all once it was told to stop.
func TestHungRunEndsAsADeviceError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		j := &Job{cfg: settings.Config{RetryTimeout: time.Minute}, log: slog.New(slog.NewTextHandler(&log, nil))}
		j.live.Doing("opening the device")
		start := time.Now()
		err := <-j.watch(t.Context())
		var device *machine.DeviceError
		if !errors.As(err, &device) || !strings.Contains(err.Error(), "it hangs in: opening the device") {
			t.Errorf("error %v, want a device's that says where", err)
		}
		if took := time.Since(start); took < stall(j.cfg) || took > stall(j.cfg)+time.Minute {
			t.Errorf("the hang is told after %s, want %s", took, stall(j.cfg))
		}
		if !strings.Contains(log.String(), "TestHungRunEndsAsADeviceError") {
			t.Errorf("the log has no stacks:\n%s", log.String())
		}

		ctx, cancel := context.WithCancelCause(t.Context())
		hung := j.watch(ctx)
		cancel(Stop{At: time.Now()})
		time.Sleep(2 * stall(j.cfg))
		select {
		case err := <-hung:
			t.Errorf("a run that was told to stop is called hung: %v", err)
		default:
		}
	})
}
