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

// TestUnlessHung: a run that hangs ends as one whose device is out of reach, and says where it hangs; one that ends, ends as it does, and one that
// was told to stop is left to its deadline.
func TestUnlessHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		j := &Job{cfg: settings.Config{RetryTimeout: time.Minute}, log: slog.New(slog.NewTextHandler(&log, nil))}
		own := errors.New("own")
		if err := j.unlessHung(t.Context(), func(context.Context) error { return own }); err != own {
			t.Errorf("error %v, want the run's own", err)
		}

		never := make(chan struct{})
		defer close(never)
		hang := func(context.Context) error {
			j.live.Doing("opening the device")
			<-never
			return nil
		}
		start := time.Now()
		err := j.unlessHung(t.Context(), hang)
		var device *machine.DeviceError
		if !errors.As(err, &device) || !strings.Contains(err.Error(), "it hangs in: opening the device") {
			t.Errorf("error %v, want a device's that says where", err)
		}
		if took := time.Since(start); took < stall(j.cfg) || took > stall(j.cfg)+time.Minute {
			t.Errorf("the hang is told after %s, want %s", took, stall(j.cfg))
		}
		if !strings.Contains(log.String(), "TestUnlessHung") {
			t.Errorf("the log has no stacks:\n%s", log.String())
		}

		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- j.unlessHung(ctx, hang) }()
		cancel(Stop{At: time.Now()})
		time.Sleep(2 * stall(j.cfg))
		select {
		case err := <-ended:
			t.Errorf("a run that was told to stop is called hung: %v", err)
		default:
		}
	})
}
