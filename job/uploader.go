package job

import (
	"context"
	"time"

	"github.com/cijepa/cijepa/storage/checkpoint"
)

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
