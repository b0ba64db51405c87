package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Options say how a [Bucket] behaves when its store fails. The zero value is right for a run.
type Options struct {
	// Log gets one line for each retry. Nothing is logged when it is nil.
	Log *slog.Logger
	// RetryTimeout is how long an operation is retried, counted from its first failure, before it
	// fails with [ErrUnreachable]; 10 minutes when zero. A read that receives bytes starts it anew.
	RetryTimeout time.Duration
	// OnTransfer, if not nil, is called with the number of bytes of every transfer, from many
	// goroutines at once.
	OnTransfer func(read, written int)
	// MustExist makes [Open] refuse a file:// bucket whose directory is missing, with
	// [ErrNoFolder]. Otherwise Open makes the directory.
	MustExist bool

	// Interactive says that a person waits: a host that is not known is an error of [Open] after a
	// few tries. A run is patient, because the name service may come up after its pod.
	Interactive bool

	// idleTimeout is how long an attempt may go without progress before it is cancelled; 30 seconds
	// when zero.
	idleTimeout time.Duration
	// firstWait is the wait after the first failure; it doubles up to maxWait. Half a second when
	// zero.
	firstWait time.Duration
	place
}

// place is where a bucket is. Error messages need it for their advice.
type place struct {
	scheme string // of its URL
	dir    string // of a file:// bucket: the directory that keys are relative to; else empty

	secrets // of its URL
}

const (
	defaultRetryTimeout = 10 * time.Minute
	defaultIdleTimeout  = 30 * time.Second
	defaultFirstWait    = 500 * time.Millisecond
	maxWait             = 30 * time.Second

	// suspectTries is the number of attempts that end in an error which seldom passes. Some do: a
	// fresh pod's identity can take a few seconds to be known everywhere, and a store that received
	// a flipped bit calls the request invalid.
	suspectTries = 3
)

// maxIdleFactor bounds the idle timeout of an attempt that follows idle ones, in units of
// idleTimeout. A longer one notices late that the store is back; a shorter one never gets an upload
// through a slow connection.
func maxIdleFactor(act string) time.Duration {
	if act == writing {
		return 8
	}
	return 2
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.RetryTimeout == 0 {
		o.RetryTimeout = defaultRetryTimeout
	}
	if o.idleTimeout == 0 {
		o.idleTimeout = defaultIdleTimeout
	}
	if o.firstWait == 0 {
		o.firstWait = defaultFirstWait
	}
	return o
}

// errIdle cancels an attempt without progress.
var errIdle = errors.New("no progress")

// attempt is one attempt at an operation. Its watchdog cancels the context after limit without
// progress.
type attempt struct {
	ctx        context.Context
	cancel     context.CancelCauseFunc
	limit      time.Duration
	timer      *time.Timer
	onTransfer func(read, written int) // may be nil
}

func newAttempt(ctx context.Context, o Options, limit time.Duration) *attempt {
	a := &attempt{limit: limit, onTransfer: o.OnTransfer}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	a.timer = time.AfterFunc(limit, func() { a.cancel(fmt.Errorf("%w for %v", errIdle, limit)) })
	return a
}

// resetWatchdog restarts the watchdog, because bytes have been transferred.
func (a *attempt) resetWatchdog() { a.timer.Reset(a.limit) }

// transferred reports bytes to [Options].OnTransfer.
func (a *attempt) transferred(read, written int) {
	if a.onTransfer != nil {
		a.onTransfer(read, written)
	}
}

// pauseWatchdog stops the watchdog until the next resetWatchdog.
func (a *attempt) pauseWatchdog() { a.timer.Stop() }

func (a *attempt) end() {
	a.timer.Stop()
	a.cancel(context.Canceled)
}

// withCause replaces the "context canceled" of a driver by the reason for which the attempt was
// cancelled.
func (a *attempt) withCause(err error) error {
	var final *finalError
	if err == nil || errors.As(err, &final) {
		return err
	}
	if c := context.Cause(a.ctx); c != nil && !errors.Is(err, c) {
		return fmt.Errorf("%w (%v)", c, err)
	}
	return err
}

// retry runs op until it succeeds, fails for good, or the retry timeout has passed. The watchdog
// cancels an attempt at a store that accepts a connection and then sends nothing. The attempt after
// an idle one gets twice the idle timeout, within bounds: on a slow connection an upload shows no
// progress while the driver sends what it has buffered.
//
// The drivers' own retries run below this one. None of them is enough: s3blob gives up after 4
// seconds whatever its settings, gcsblob does not retry plain writes at all.
func retry[T any](ctx context.Context, o Options, act, key string, op func(a *attempt) (T, error)) (T, error) {
	state := retryState{options: o, act: act, key: key}
	for limit := o.idleTimeout; ; {
		a := newAttempt(ctx, o, limit)
		value, err := op(a)
		err = a.withCause(err)
		a.end()
		if err == nil {
			return value, nil
		}
		if errors.Is(err, errIdle) {
			limit = min(2*limit, maxIdleFactor(act)*o.idleTimeout)
		}
		if err := state.wait(ctx, err); err != nil {
			return value, err
		}
		limit = max(min(limit, state.timeLeft()), o.idleTimeout)
	}
}

// retryState counts and times consecutive failures of an operation.
type retryState struct {
	options       Options
	act, key      string
	since         time.Time // of the first failure; zero without one
	waits         *backoff.ExponentialBackOff
	suspectErrors int // that seldom pass: see suspectTries
}

// wait waits before the next attempt, or returns the error with which the operation ends. The retry
// timeout counts from the first failure, not from the beginning of the operation: a long upload
// that fails at its end is worth another one.
func (s *retryState) wait(ctx context.Context, err error) error {
	if ctx.Err() != nil || !s.retryable(err) {
		return wrapError(ctx, s.options.place, s.act, s.key, err)
	}
	if s.since.IsZero() {
		s.since, s.waits = time.Now(), s.options.backOff()
	}
	wait := s.waits.NextBackOff()
	if time.Since(s.since)+wait > s.options.RetryTimeout {
		return wrapError(ctx, s.options.place, s.act, s.key, err)
	}
	s.options.Log.Warn("storage operation failed, trying again", "act", s.act, "key", s.key,
		"wait_seconds", wait.Round(time.Millisecond).Seconds(), "error", s.options.hide(oneLine{err}.Error()))
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return wrapError(ctx, s.options.place, s.act, s.key, err)
	}
}

// timeLeft is what is left of the retry timeout.
func (s *retryState) timeLeft() time.Duration { return s.options.RetryTimeout - time.Since(s.since) }

// retryable reports whether an error is worth another attempt, and counts the suspect ones.
func (s *retryState) retryable(err error) bool {
	var final *finalError
	if errors.As(err, &final) {
		return false
	}
	switch classify(err) {
	case classTransient:
		if !s.options.Interactive || !unknownHost(err) {
			return true
		}
		fallthrough
	case classDenied, classPermanent, classCorrupt:
		s.suspectErrors++
		return s.suspectErrors < suspectTries
	}
	return false
}

// reset forgets the failures after a success.
func (s *retryState) reset() { s.since, s.suspectErrors = time.Time{}, 0 }

// backOff returns the waits between attempts. They are randomised, so that many pods do not come
// back at once.
func (o Options) backOff() *backoff.ExponentialBackOff {
	w := backoff.NewExponentialBackOff()
	w.InitialInterval, w.MaxInterval, w.Multiplier, w.RandomizationFactor = o.firstWait, maxWait, 2, 0.5
	return w
}

// wrapError turns the error that ends an operation into the one that its caller sees.
func wrapError(ctx context.Context, at place, act, key string, err error) error {
	if err == nil {
		return nil
	}
	var final *finalError
	if errors.As(err, &final) {
		return at.scrub(fmt.Errorf("%s %s: %w", act, key, final.err))
	}
	if ctx.Err() != nil {
		if cause := context.Cause(ctx); !errors.Is(cause, ctx.Err()) {
			return fmt.Errorf("%s %s: %w: %w", act, key, ctx.Err(), cause)
		}
		return fmt.Errorf("%s %s: %w", act, key, ctx.Err())
	}
	return at.scrub(explain(at, act, key, err))
}

// finalError is an error that is not the store's. It is neither retried nor classified.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }
