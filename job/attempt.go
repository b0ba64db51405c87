package job

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/cijepa/cijepa/job/record"
)

// recordAttempt writes where an attempt begins or ends. A run can do without it, so a failure is only logged.
func (j *Job) recordAttempt(ctx context.Context, line record.Attempt) {
	line.Time, line.Manifest = time.Now().UTC(), j.run.Newest()
	j.ended = line.How != ""
	text, err := json.Marshal(line)
	if err == nil {
		err = j.run.Append(ctx, record.Attempts+".jsonl", append(text, '\n'))
	}
	if err != nil {
		j.log.Warn("this attempt is not on record", "error", err)
	}
}

// stoppedEarly puts the end of an attempt on record that was stopped before the first update of its phase, while programs were compiled: later ends
// are put there by stopped, which saves first.
func (j *Job) stoppedEarly(ctx context.Context, at position, err error) error {
	if j.ended || !errors.Is(err, ErrStopped) {
		return err
	}
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	j.recordAttempt(short, record.Attempt{Phase: at.phase, From: at.step, Step: at.step, Saved: &at.step, How: record.Stopped})
	j.log.Warn("stopped", "phase", at.phase, "step", at.step, "saved", at.step, "lost", 0)
	return err
}
