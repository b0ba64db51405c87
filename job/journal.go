package job

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"sync"
	"time"

	"github.com/cijepa/cijepa/job/board"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

// journal buffers metrics lines by file. Each flush writes one object a file; a flush goes before
// every checkpoint. An attempt that is killed loses the lines of the updates that the next one
// takes again.
type journal struct {
	mu        sync.Mutex
	files     map[string][]byte // guarded by mu: the loop adds, the uploader flushes
	followers []func(line any)  // set before the first line
	board     board.Board       // the same for TensorBoard
}

// follow calls f with every line as it is added: a record.Step, Health, Eval or Alarm. The loop
// waits for f.
func (j *journal) follow(f func(line any)) { j.followers = append(j.followers, f) }

// add appends a line to one of the files that package record names.
func (j *journal) add(file string, line any) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	j.mu.Lock()
	if j.files == nil {
		j.files = map[string][]byte{}
	}
	j.files[file] = append(append(j.files[file], text...), '\n')
	j.mu.Unlock()
	j.board.Line(line)
	for _, f := range j.followers {
		f(line)
	}
	return nil
}

// flush writes the buffered lines. What cannot be written stays for the next flush.
func (j *journal) flush(ctx context.Context, run *checkpoint.Run) error {
	j.mu.Lock()
	held := maps.Clone(j.files)
	j.mu.Unlock()
	for file, text := range held {
		if len(text) == 0 {
			continue
		}
		if err := run.Append(ctx, file+".jsonl", text); err != nil {
			return err
		}
		j.mu.Lock()
		j.files[file] = bytes.Clone(j.files[file][len(text):])
		j.mu.Unlock()
	}
	events, undrawn := j.board.Unwritten()
	if events.Data == nil {
		return undrawn
	}
	if err := run.Append(ctx, events.Name, events.Data); err != nil {
		return err
	}
	j.board.Written(events)
	return undrawn
}

// openBoard begins TensorBoard's event files of this attempt.
func (j *Job) openBoard(at position) {
	b := &j.journal.board
	b.Describe(j.folder, j.cfg.Depths, j.cfg.Recipe.Hyperparameters())
	var probed int64
	if at.phase == record.Probing {
		probed = at.step
	}
	b.Resume(at.progress.Pretrained, probed, at.progress.Table)
}

// fire writes alarms to the log and to the journal.
func (j *Job) fire(found []record.Alarm) {
	for _, a := range found {
		a.Time = time.Now().UTC()
		j.log.Warn("alarm", "alarm", a.Alarm, "step", a.Step, "value", a.Value, "limit", a.Limit, "text", a.Text)
		if err := j.journal.add(record.Alarms, a); err != nil {
			j.log.Error("an alarm is not on record", "error", err)
		}
	}
}
