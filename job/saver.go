package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

// saver commits checkpoints beside training. One goroutine uploads, one checkpoint after the other; the training loop
// only takes the snapshot. A failed upload is tried again with the next checkpoint; only when none has been committed
// for Config.SaveTimeout does the run stop.
type saver struct {
	job    *Job
	phase  string
	from   position // where the attempt began
	tasks  chan task
	done   chan outcome
	ctx    context.Context // of the uploads: not ended by SIGTERM, which gives the one in flight its deadline
	cancel context.CancelFunc

	outstanding int
	begun       time.Time     // of the newest checkpoint that was handed over
	flushed     time.Time     // of the newest metrics that were handed over
	good        time.Time     // of the newest commit
	committed   int64         // step of the newest commit in this phase
	rate        float64       // bytes a second of the best upload: others had to be tried again, or were too small to tell
	size        int64         // bytes of the newest upload
	pause       time.Duration // of the steps, for the newest copy of the state
}

// task is a checkpoint to commit or, without parts, metrics to write.
type task struct {
	step  int64
	keep  bool
	last  bool // the attempt ends with it
	parts []checkpoint.Part
	pause time.Duration // of the steps, for the copy
}

type outcome struct {
	task task
	size int64
	took time.Duration
	err  error
}

// newSaver begins to save from a position. Its goroutine ends with close.
func (j *Job) newSaver(ctx context.Context, at position) *saver {
	s := &saver{job: j, phase: at.phase, from: at, tasks: make(chan task, 1), done: make(chan outcome, 2), begun: time.Now(), flushed: time.Now(), good: time.Now(), committed: at.step}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(s.done)
		for t := range s.tasks {
			s.done <- s.upload(s.ctx, t)
		}
	}()
	return s
}

// upload commits one checkpoint. The metrics go first: a reader of the checkpoint finds the lines of its steps, and what its
// progress says of looks and alarms is on record.
func (s *saver) upload(ctx context.Context, t task) (o outcome) {
	o.task = t
	for _, p := range t.parts {
		o.size += p.Size
	}
	s.flushLines(ctx, t.last)
	if t.parts != nil {
		start := time.Now()
		_, o.err = s.job.run.Commit(ctx, s.phase, t.step, t.keep, t.parts)
		o.took = time.Since(start)
	}
	return o
}

// How long metrics may hold up a checkpoint, and the last one, which has no time to lose: they are a few small objects, and go
// with the next flush.
const (
	flushPatience = 5 * time.Second
	lastPatience  = time.Second
)

func (s *saver) flushLines(ctx context.Context, last bool) {
	patience := flushPatience
	if last {
		patience = lastPatience
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.job.journal.flush(ctx, s.job.run); err != nil {
		s.job.log.Warn("metrics not written yet", "error", err)
	}
}

// due says whether it is time for the next checkpoint, and takes note of uploads that have ended. It fails when the run
// has been overtaken or the bucket has been out of reach for too long.
func (s *saver) due() (bool, error) {
	for {
		select {
		case o := <-s.done:
			if err := s.settle(o); err != nil {
				return false, err
			}
			continue
		default:
		}
		return s.outstanding == 0 && time.Since(s.begun) >= s.job.cfg.SaveEvery, nil
	}
}

// settle takes note of one upload that has ended.
func (s *saver) settle(o outcome) error {
	s.outstanding--
	if o.task.parts == nil {
		return nil
	}
	if o.err == nil {
		s.committed, s.good, s.size = o.task.step, time.Now(), o.size
		s.rate = max(s.rate, float64(o.size)/max(o.took.Seconds(), 1e-3))
		s.job.live.Saved(s.phase, o.task.step, o.size, o.took)
		s.job.log.Info("saved", "phase", s.phase, "step", o.task.step, "bytes", o.size, "seconds", o.took.Seconds(), "pause", o.task.pause.Seconds())
		return nil
	}
	if errors.Is(o.err, storage.ErrOvertaken) {
		ctx, cancel := context.WithTimeout(s.ctx, lastPatience)
		defer cancel()
		s.job.recordAttempt(ctx, s.end(record.Overtaken, o.task.step, s.committed))
		return o.err
	}
	if errors.Is(o.err, storage.ErrCorrupt) {
		return unsavable{o.err}
	}
	s.job.live.SaveFailed()
	s.job.log.Error("checkpoint failed", "phase", s.phase, "step", o.task.step, "error", o.err)
	if since := time.Since(s.good); since > s.job.cfg.SaveTimeout() {
		return unsavable{fmt.Errorf("no checkpoint committed for %s (%s): %w", since.Round(time.Second), settings.Variable("RetryTimeout"), unreachable(o.err))}
	}
	return nil
}

// unsavable ends an attempt that has nothing to save, or nowhere to.
type unsavable struct{ error }

// Unwrap gives the error.
func (u unsavable) Unwrap() error { return u.error }

// unreachable makes sure that whoever starts the program hears of trouble with storage, whatever the cause: another attempt, later, may do better.
func unreachable(err error) error {
	if errors.Is(err, storage.ErrUnreachable) || errors.Is(err, storage.ErrDenied) {
		return err
	}
	return fmt.Errorf("%w: %w", storage.ErrUnreachable, err)
}

// end is the line of an attempt that ends now.
func (s *saver) end(how string, step, saved int64) record.Attempt {
	return record.Attempt{Phase: s.phase, From: s.from.step, Step: step, Saved: &saved, How: how}
}

// begin hands the position to the uploading goroutine. It waits when two checkpoints are already in hand, unless ctx
// ends: the last checkpoint is taken then.
func (s *saver) begin(ctx context.Context, at position, keep bool) error {
	for s.outstanding >= 2 {
		select {
		case o := <-s.done:
			if err := s.settle(o); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
	parts, err := s.copy(at)
	if err != nil {
		return err
	}
	s.hand(task{step: at.step, keep: keep, parts: parts, pause: s.pause})
	return nil
}

// copy takes a copy of the position. On a device with memory of its own it is still on its way to the host when the steps go on.
func (s *saver) copy(at position) ([]checkpoint.Part, error) {
	start := time.Now()
	parts, err := at.parts()
	s.pause = time.Since(start)
	return parts, err
}

// hand gives a copy to the uploading goroutine, which must have room for it.
func (s *saver) hand(t task) {
	s.outstanding++
	s.begun, s.flushed = time.Now(), time.Now()
	s.tasks <- t
}

// flushEvery is how often metrics are written between checkpoints: what a killed attempt had reached is known this well.
const flushEvery = time.Minute

// flush hands the metrics over when it is time and nothing else is in hand.
func (s *saver) flush() {
	if s.outstanding == 0 && time.Since(s.flushed) >= flushEvery {
		s.outstanding++
		s.flushed = time.Now()
		s.tasks <- task{}
	}
}

// write hands the metrics over and waits a moment for them: the run ends with an error, and they tell of what led to it.
func (s *saver) write(ctx context.Context) {
	short, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if s.drain(short) == nil {
		s.hand(task{})
		_ = s.drain(short) // the run's own error is the one to tell
	}
}

// drain waits until nothing is in hand, or the context ends.
func (s *saver) drain(ctx context.Context) error {
	for s.outstanding > 0 {
		select {
		case o := <-s.done:
			if err := s.settle(o); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// finish commits the end of the phase, never to be deleted, unless that is what the attempt began from. The end of a phase
// must be in the bucket before the next begins, so it is tried again for Config.SaveTimeout. When ctx ends first, the upload
// goes on: last gives it its deadline. meanwhile, if not nil, gets the same copy of the position and runs beside the upload.
func (s *saver) finish(ctx context.Context, at position, meanwhile func([]checkpoint.Part) error) error {
	if err := s.drain(ctx); err != nil || s.committed == at.step && meanwhile == nil {
		return err
	}
	parts, err := s.copy(at)
	if err != nil {
		return err
	}
	for first := true; s.committed != at.step || first; first = false {
		if s.committed != at.step {
			s.hand(task{step: at.step, keep: true, parts: parts, pause: s.pause})
		}
		if first && meanwhile != nil {
			if err := meanwhile(parts); err != nil {
				return err
			}
		}
		if err := s.drain(ctx); err != nil {
			return err
		}
		if s.committed != at.step {
			s.job.log.Warn("the end of the phase is not committed: trying again", "phase", s.phase, "step", at.step, "after", againAfter.String())
			select {
			case <-time.After(againAfter):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// againAfter is the pause after a checkpoint of the end of a phase that has failed: a refusal comes at once.
const againAfter = 10 * time.Second

// last saves what fits into the time that is left and returns the newest committed step. keep is what the checkpoint
// would have been committed with.
func (s *saver) last(ctx context.Context, at position, keep bool, until time.Time) int64 {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	if err := s.drain(ctx); err != nil || s.committed == at.step {
		return s.committed
	}
	need, left := s.pause.Seconds()+float64(s.size)/max(s.rate, 1), time.Until(until).Seconds()
	if s.rate > 0 && need > left || left <= 0 {
		s.job.log.Warn("the last checkpoint does not fit its deadline", "needs_seconds", need, "left_seconds", left)
		s.write(ctx)
		return s.committed
	}
	parts, err := s.copy(at)
	if err == nil {
		s.hand(task{step: at.step, keep: keep, last: true, parts: parts, pause: s.pause})
		err = s.drain(ctx)
	}
	if err != nil {
		s.job.log.Error("the last checkpoint failed", "error", err)
	}
	return s.committed
}

// close ends the goroutine; what is still in flight is abandoned. No call may follow.
func (s *saver) close() {
	s.cancel()
	close(s.tasks)
	for range s.done {
	}
}
