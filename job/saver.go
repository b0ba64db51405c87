package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

// saver commits the checkpoints of one phase beside the updates. The loop only copies the state;
// an uploader commits one checkpoint after the other. A failed upload is tried again with the next
// checkpoint. Only when none has been committed for Config.SaveTimeout does the run stop.
type saver struct {
	job      *Job
	phase    string
	from     int64 // update of the phase that this attempt began from
	uploader *uploader

	begun     time.Time     // when the newest checkpoint was copied
	flushed   time.Time     // when the newest metrics were handed to the uploader
	good      time.Time     // when the newest checkpoint was committed
	committed int64         // update of the newest committed checkpoint of this phase
	rate      float64       // bytes a second of the fastest upload: slower ones were retried or small
	size      int64         // bytes of the newest checkpoint
	pause     time.Duration // that the newest copy of the state held up the updates
}

// newSaver begins to save a phase. The caller closes its uploader.
func (j *Job) newSaver(ctx context.Context, at position) *saver {
	now := time.Now()
	return &saver{
		job: j, phase: at.phase, from: at.step, committed: at.step, begun: now, flushed: now, good: now,
		uploader: j.newUploader(ctx, at.phase),
	}
}

// due says whether it is time for the next checkpoint. It fails when the run has been overtaken or
// no checkpoint could be committed for too long.
func (s *saver) due() (bool, error) {
	for {
		select {
		case o := <-s.uploader.done:
			if err := s.collect(o); err != nil {
				return false, err
			}
		default:
			return s.uploader.outstanding == 0 && time.Since(s.begun) >= s.job.cfg.SaveEvery, nil
		}
	}
}

// save copies the position and hands it to the uploader. It waits while two checkpoints are
// already there. When ctx ends first, it returns the cause, and [saver.last] saves the position.
func (s *saver) save(ctx context.Context, at position) error {
	if err := s.wait(ctx, 1); err != nil {
		return err
	}
	u, err := at.upload()
	if err != nil {
		return err
	}
	s.begun, s.flushed, s.pause = time.Now(), time.Now(), u.pause
	s.uploader.hand(u)
	return nil
}

// flushEvery is how often metrics are written between checkpoints. What an attempt had reached
// when it was killed is known this exactly.
const flushEvery = time.Minute

// flush hands the metrics over when it is time and no upload is outstanding.
func (s *saver) flush() {
	if s.uploader.outstanding == 0 && time.Since(s.flushed) >= flushEvery {
		s.flushed = time.Now()
		s.uploader.hand(upload{})
	}
}

// wait collects uploads until no more than so many are outstanding. When ctx ends first, it returns
// the cause.
func (s *saver) wait(ctx context.Context, outstanding int) error {
	for s.uploader.outstanding > outstanding {
		select {
		case o := <-s.uploader.done:
			if err := s.collect(o); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// retryEnd is the pause after a failed checkpoint of the end of a phase: a refusal comes at once.
const retryEnd = 10 * time.Second

// finish commits the end of the phase, unless it is committed already. The next phase must not
// begin before, so a failure is tried again until Config.SaveTimeout is over. beside, if not nil,
// gets the same copy of the position and runs beside the upload. When ctx ends first, the upload
// goes on, and [saver.last] gives it its deadline.
func (s *saver) finish(ctx context.Context, at position, beside func([]checkpoint.Part) error) error {
	if err := s.wait(ctx, 0); err != nil || s.committed == at.step && beside == nil {
		return err
	}
	u, err := at.upload()
	if err != nil {
		return err
	}
	s.pause, u.keep = u.pause, true
	for first := true; first || s.committed != at.step; first = false {
		if !first {
			s.job.log.Warn("the end of the phase is not committed: trying again", "phase", s.phase, "step", at.step, "after", retryEnd.String())
			select {
			case <-time.After(retryEnd):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if s.committed != at.step {
			s.uploader.hand(u)
		}
		if first && beside != nil {
			if err := beside(u.parts); err != nil {
				return err
			}
		}
		if err := s.wait(ctx, 0); err != nil {
			return err
		}
	}
	return nil
}

// last saves what fits before a deadline and returns the newest committed update.
func (s *saver) last(ctx context.Context, at position, deadline time.Time) int64 {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if err := s.wait(ctx, 0); err != nil || s.committed == at.step {
		return s.committed
	}
	need, left := s.pause.Seconds()+float64(s.size)/max(s.rate, 1), time.Until(deadline).Seconds()
	if s.rate > 0 && need > left || left <= 0 {
		s.job.log.Warn("the last checkpoint does not fit its deadline", "needs_seconds", need, "left_seconds", left)
		s.job.writeMetrics(ctx)
		return s.committed
	}
	u, err := at.upload()
	if err == nil {
		s.pause, u.last = u.pause, true
		s.uploader.hand(u)
		err = s.wait(ctx, 0)
	}
	if err != nil {
		s.job.log.Error("the last checkpoint failed", "error", err)
	}
	return s.committed
}

// collect takes note of one upload that has ended. An error ends the attempt.
func (s *saver) collect(o outcome) error {
	s.uploader.outstanding--
	switch {
	case o.parts == nil:
		return nil
	case o.err == nil:
		s.committed, s.good, s.size = o.step, time.Now(), o.size
		s.rate = max(s.rate, float64(o.size)/max(o.took.Seconds(), 1e-3))
		s.job.live.Saved(s.phase, o.step, o.size, o.took)
		s.job.log.Info("saved", "phase", s.phase, "step", o.step, "bytes", o.size, "seconds", o.took.Seconds(), "pause", o.pause.Seconds())
		return nil
	case errors.Is(o.err, storage.ErrOvertaken):
		return o.err
	case errors.Is(o.err, storage.ErrCorrupt):
		return unsavable{o.err}
	}
	s.job.live.SaveFailed()
	s.job.log.Error("checkpoint failed", "phase", s.phase, "step", o.step, "error", o.err)
	if since := time.Since(s.good); since > s.job.cfg.SaveTimeout() {
		return unsavable{fmt.Errorf("no checkpoint committed for %s (six times %s): %w",
			since.Round(time.Second), settings.Variable("RetryTimeout"), unreachable(o.err))}
	}
	return nil
}

// unreachable makes sure that the error ends with the exit code of storage out of reach, whatever
// its cause: another attempt, later, may do better.
func unreachable(err error) error {
	if errors.Is(err, storage.ErrUnreachable) || errors.Is(err, storage.ErrDenied) {
		return err
	}
	return fmt.Errorf("%w: %w", storage.ErrUnreachable, err)
}

// uploader commits checkpoints and writes metrics in one goroutine, one after the other.
type uploader struct {
	tasks  chan upload
	done   chan outcome
	cancel context.CancelFunc

	outstanding int // tasks whose outcome has not been collected
}

// upload is a checkpoint to commit or, without parts, only metrics to write.
type upload struct {
	step  int64
	keep  bool // never delete it
	last  bool // the attempt ends with it
	parts []checkpoint.Part
	pause time.Duration // that the copy held up the updates
}

// outcome is how an upload ended.
type outcome struct {
	upload
	err  error
	size int64
	took time.Duration
}

// newUploader starts the goroutine. SIGTERM does not end its context: the upload in flight then
// has until the deadline of the last checkpoint.
func (j *Job) newUploader(ctx context.Context, phase string) *uploader {
	u := &uploader{tasks: make(chan upload, 1), done: make(chan outcome, 2)}
	ctx, u.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(u.done)
		for task := range u.tasks {
			u.done <- j.upload(ctx, phase, task)
		}
	}()
	return u
}

// hand gives a task to the goroutine, which must have room: see [saver.save].
func (u *uploader) hand(task upload) {
	u.outstanding++
	u.tasks <- task
}

// close ends the goroutine and abandons the upload in flight. No task may follow.
func (u *uploader) close() {
	u.cancel()
	close(u.tasks)
	for range u.done {
	}
}

// How long metrics may hold up a checkpoint, and the last one of an attempt. They are a few small
// objects; what is not written goes with the next flush.
const (
	flushTimeout     = 5 * time.Second
	lastFlushTimeout = time.Second
)

// upload writes the metrics, then commits the checkpoint. So a reader of the checkpoint finds the
// lines of its updates, and every evaluation and alarm that its progress counts is on record.
func (j *Job) upload(ctx context.Context, phase string, task upload) outcome {
	o := outcome{upload: task}
	timeout := flushTimeout
	if task.last {
		timeout = lastFlushTimeout
	}
	flushing, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := j.journal.flush(flushing, j.run); err != nil {
		j.log.Warn("metrics not written yet", "error", err)
	}
	if task.parts == nil {
		return o
	}
	for _, p := range task.parts {
		o.size += p.Size
	}
	start := time.Now()
	_, o.err = j.run.Commit(ctx, phase, task.step, task.keep, task.parts)
	o.took = time.Since(start)
	return o
}
