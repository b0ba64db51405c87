package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Options say how a [Bucket] behaves when its store does not. The zero value is right for a run.
type Options struct {
	// Log gets one line for each retry. Nothing is logged when it is nil.
	Log *slog.Logger
	// Patience is the time for which one operation is tried again before it fails with [ErrUnreachable]; 10 minutes when zero.
	// A read that moves on starts its patience anew.
	RetryTimeout time.Duration
	// Silence is how long one attempt may go without any progress before it is given up; 30 seconds when zero.
	idleTimeout time.Duration
	// Moved, if not nil, is told of every transfer: how many bytes have come, how many have gone. Many goroutines call it at once.
	OnTransfer func(read, written int)
	// firstWait is the wait after the first failure; it doubles up to 30 seconds. Half a second when zero.
	firstWait time.Duration
	// MustExist refuses a file:// bucket whose directory is missing with [ErrNoFolder]. [Open] makes the directory otherwise, as a writer needs it.
	MustExist bool

	place
}

// place is where a bucket is, for what messages advise. Of a bucket that [New] was given nothing is known.
type place struct {
	scheme string // of its URL
	dir    string // of a file:// bucket: the directory that keys are relative to; else empty
}

const (
	defaultRetryTimeout  = 10 * time.Minute
	defaultIdleTimeout   = 30 * time.Second
	defaultFirstWait = 500 * time.Millisecond
	maxWait      = 30 * time.Second

	// suspectTries is for failures that another try seldom helps: a fresh pod's identity can take a few seconds to be known everywhere, and a store that
	// got a flipped bit calls the request invalid.
	suspectTries = 3
)

// maxIdleFactor is how many times Silence an attempt may go without progress after silent ones: what waits longer notices late that the store is
// back, and what waits less never gets an upload through a thin line.
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

// errIdle ends an attempt in which the store did nothing for [Options].Silence.
var errIdle = errors.New("no progress")

// attempt is one try of an operation: a context that ends when the store falls silent.
type attempt struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	limit  time.Duration
	timer  *time.Timer
	onTransfer  func(read, written int) // may be nil
}

func newAttempt(ctx context.Context, o Options, limit time.Duration) *attempt {
	a := &attempt{limit: limit, onTransfer: o.OnTransfer}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	a.timer = time.AfterFunc(limit, func() { a.cancel(fmt.Errorf("%w for %v", errIdle, limit)) })
	return a
}

// resetWatchdog tells the watchdog that bytes have moved.
func (a *attempt) resetWatchdog() { a.timer.Reset(a.limit) }

// transferred tells who wants to know how many bytes have moved.
func (a *attempt) transferred(read, written int) {
	if a.onTransfer != nil {
		a.onTransfer(read, written)
	}
}

// pauseWatchdog stops the watchdog until the next alive.
func (a *attempt) pauseWatchdog() { a.timer.Stop() }

func (a *attempt) end() {
	a.timer.Stop()
	a.cancel(context.Canceled)
}

// withCause replaces the "context canceled" of a driver by the reason for which the attempt was given up.
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

// retry runs op until it succeeds, fails for good, or patience ends. Every attempt has a watchdog, so a store that accepts a connection and then
// says nothing costs Silence, not for ever. An attempt after a silent one gets twice the time, within bounds: on a thin line an upload shows no
// progress while the driver sends what it has buffered. The drivers' own retries run below this one; none of them is enough (s3blob gives up after
// 4 seconds whatever its settings, gcsblob does not retry plain writes at all).
func retry[T any](ctx context.Context, o Options, act, key string, op func(a *attempt) (T, error)) (T, error) {
	t := retryState{options: o, act: act, key: key}
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
		if err := t.pause(ctx, err); err != nil {
			return value, err
		}
		limit = max(min(limit, t.left()), o.idleTimeout)
	}
}

// retryState is a row of failures without a success between them.
type retryState struct {
	options  Options
	act, key string
	since    time.Time // of the first failure; zero while all is well
	waits    *backoff.ExponentialBackOff
	doubtful int
}

// pause waits before the next attempt, or gives the error with which the operation ends. Patience counts from the first failure, not from the
// beginning: a long upload that fails at its end is worth another one.
func (t *retryState) pause(ctx context.Context, err error) error {
	if ctx.Err() != nil || !t.again(err) {
		return wrapError(ctx, t.options.place, t.act, t.key, err)
	}
	if t.since.IsZero() {
		t.since, t.waits = time.Now(), t.options.backOff()
	}
	wait := t.waits.NextBackOff()
	if time.Since(t.since)+wait > t.options.RetryTimeout {
		return wrapError(ctx, t.options.place, t.act, t.key, err)
	}
	t.options.Log.Warn("storage operation failed, trying again", "act", t.act, "key", t.key, "wait_seconds", wait.Round(time.Millisecond).Seconds(), "error", oneLine{err}.Error())
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return wrapError(ctx, t.options.place, t.act, t.key, err)
	}
}

// left is what is left of the patience.
func (t *retryState) left() time.Duration { return t.options.RetryTimeout - time.Since(t.since) }

// again tells whether an error is worth another attempt.
func (t *retryState) again(err error) bool {
	var final *finalError
	if errors.As(err, &final) {
		return false
	}
	switch classify(err) {
	case classTransient:
		return true
	case classDenied, classPermanent, classCorrupt:
		t.doubtful++
		return t.doubtful < suspectTries
	}
	return false
}

// over ends the trouble.
func (t *retryState) over() { t.since, t.doubtful = time.Time{}, 0 }

// backOff is the sequence of pauses between attempts, spread so that many pods do not come back at once.
func (o Options) backOff() *backoff.ExponentialBackOff {
	w := backoff.NewExponentialBackOff()
	w.InitialInterval, w.MaxInterval, w.Multiplier, w.RandomizationFactor = o.firstWait, maxWait, 2, 0.5
	return w
}

// wrapError gives the error of an ended operation its final form.
func wrapError(ctx context.Context, at place, act, key string, err error) error {
	if err == nil {
		return nil
	}
	var final *finalError
	if errors.As(err, &final) {
		return fmt.Errorf("%s %s: %w", act, key, final.err)
	}
	if ctx.Err() != nil {
		if cause := context.Cause(ctx); !errors.Is(cause, ctx.Err()) {
			return fmt.Errorf("%s %s: %w: %w", act, key, ctx.Err(), cause)
		}
		return fmt.Errorf("%s %s: %w", act, key, ctx.Err())
	}
	return explain(at, act, key, err)
}

// finalError is a failure that is not the store's: it is neither tried again nor classified.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }
