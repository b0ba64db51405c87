package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

// ErrStopped is the cause of a context that ends because the program was told to stop (SIGTERM).
// A run that returns it has not finished and is to be started again.
var ErrStopped = errors.New("stopped before the end; start the same run again to go on")

// Stop is ErrStopped with the time of the signal. The deadline of the last checkpoint counts from
// it, whatever the run was doing when the signal came.
type Stop struct{ At time.Time }

// Error is ErrStopped's.
func (s Stop) Error() string { return ErrStopped.Error() }

// Is makes every Stop an ErrStopped.
func (s Stop) Is(target error) bool { return target == ErrStopped }

// unsavable marks an error after which no checkpoint is tried: the state is not worth one, or no
// checkpoint has been committed for too long.
type unsavable struct{ error }

// Unwrap gives the error.
func (u unsavable) Unwrap() error { return u.error }

// recordTimeout limits the line that an attempt writes at its end.
const recordTimeout = time.Second

// stop ends an attempt that an error or a signal took out of a phase. It saves what fits into the
// deadline and records the end of the attempt. Nothing is saved after an error of the device,
// because asking it for its state may never return, or when another attempt has overtaken this one.
func (j *Job) stop(ctx context.Context, at position, err error) error {
	signalled := errors.Is(context.Cause(ctx), ErrStopped)
	_, device := errors.AsType[*machine.DeviceError](err)
	switch {
	case errors.Is(err, storage.ErrOvertaken):
		j.recordEnd(ctx, record.Overtaken, at, j.saver.committed)
		return err
	case errors.As(err, &unsavable{}):
		j.writeMetrics(context.WithoutCancel(ctx)) // they tell what led to it
		return err
	case device && !signalled:
		return err
	}
	saved := j.saveLast(ctx, at)
	if !signalled {
		return err
	}
	j.recordEnd(ctx, record.Stopped, at, saved)
	j.log.Warn("stopped", "phase", at.phase, "step", at.step, "saved", saved, "lost", at.step-saved)
	return ErrStopped
}

// saveLast commits the last checkpoint of an attempt before its deadline and returns the newest
// committed update of the phase. Before a signal, the deadline is the time that uploads may fail
// for; a signal that comes meanwhile shortens it.
func (j *Job) saveLast(ctx context.Context, at position) int64 {
	saving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if cause := context.Cause(ctx); cause != nil {
		return j.saver.last(saving, at, j.stopDeadline(cause))
	}
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(time.Until(j.stopDeadline(context.Cause(ctx))), cancel)
	})()
	return j.saver.last(saving, at, time.Now().Add(j.cfg.SaveTimeout()))
}

// writeMetrics hands the newest metrics to the uploader and waits a moment for them.
func (j *Job) writeMetrics(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if j.saver.wait(ctx, 0) == nil {
		j.saver.uploader.hand(upload{})
		_ = j.saver.wait(ctx, 0) // the error that ends the attempt is the one to tell
	}
}

// stopDeadline is the time by which the last checkpoint must be committed once the context has
// ended for a cause.
func (j *Job) stopDeadline(cause error) time.Time {
	signalled := time.Now()
	if stop, ok := errors.AsType[Stop](cause); ok {
		signalled = stop.At
	}
	return signalled.Add(j.cfg.StopDeadline())
}

// recordEnd writes how an attempt ended. The context may have ended.
func (j *Job) recordEnd(ctx context.Context, how string, at position, saved int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	j.recordAttempt(ctx, record.Attempt{Phase: at.phase, From: j.saver.from, Step: at.step, Saved: &saved, How: how})
}

// recordAttempt writes where an attempt begins or ends. A run can do without it, so a failure is
// only logged.
func (j *Job) recordAttempt(ctx context.Context, line record.Attempt) {
	line.Time, line.Manifest, line.Node = time.Now().UTC(), j.run.Newest(), j.cfg.Node
	if err := appendLine(ctx, j.run, record.Attempts, line); err != nil {
		j.log.Warn("this attempt is not on record", "error", err)
	}
}

// appendLine writes one line to a file of metrics/, at once.
func appendLine(ctx context.Context, run *checkpoint.Run, file string, line any) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	return run.Append(ctx, file+".jsonl", append(text, '\n'))
}

const (
	failureTimeout = 5 * time.Second // for writing a failure down, and for reading earlier ones
	recentFailure  = 2 * time.Hour   // a machine that failed before may have been repaired
)

// failures counts the recent attempts of the run that the device of this machine failed.
type failures struct {
	here atomic.Int64
	run  atomic.Pointer[checkpoint.Run] // nil: its bucket is not open yet
}

// warnOfMachine warns if earlier attempts failed on this machine. The scheduler likes a node that
// has the image, so a broken GPU gets one attempt after another until somebody cordons it.
func (j *Job) warnOfMachine(ctx context.Context) {
	if j.cfg.Node == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, failureTimeout)
	defer cancel()
	keys, err := j.bucket.List(ctx, j.run.Key("metrics/"+record.Failures+"-"))
	last := ""
	for _, key := range keys {
		text, readErr := j.bucket.Get(ctx, key)
		var f record.Failure
		if readErr != nil || json.Unmarshal(text, &f) != nil {
			err = errors.Join(err, readErr)
			continue
		}
		if f.Node == j.cfg.Node && time.Since(f.Time) < recentFailure {
			j.failures.here.Add(1)
			last = f.Error
		}
	}
	if n := j.failures.here.Load(); n > 0 {
		j.log.Warn("attempts before this one failed on the same machine", "attempts", n, "error", last)
	} else if err != nil && ctx.Err() == nil {
		j.log.Warn("failures of earlier attempts cannot be read", "error", err)
	}
}

// blameMachine records a failure of the device, and names the machine in the error.
func (j *Job) blameMachine(ctx context.Context, err error) error {
	if _, device := errors.AsType[*machine.DeviceError](err); !device || j.cfg.Node == "" || ctx.Err() != nil {
		return err
	}
	if run := j.failures.run.Load(); run != nil {
		j.recordFailure(ctx, run, err)
	}
	if n := j.failures.here.Load(); n > 0 {
		return fmt.Errorf("on machine %s, where %d attempts before this one failed, too (take it out: kubectl cordon %s): %w",
			j.cfg.Node, n, j.cfg.Node, err)
	}
	return fmt.Errorf("on machine %s: %w", j.cfg.Node, err)
}

// recordFailure writes the failure down, if it can.
func (j *Job) recordFailure(ctx context.Context, run *checkpoint.Run, err error) {
	ctx, cancel := context.WithTimeout(ctx, failureTimeout)
	defer cancel()
	first, _, _ := strings.Cut(err.Error(), "\n")
	line := record.Failure{Time: time.Now().UTC(), Node: j.cfg.Node, Error: first}
	if err := appendLine(ctx, run, record.Failures, line); err != nil {
		j.log.Warn("this failure is not on record", "error", err)
	}
}
