package job

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"sync"

	"github.com/cijepa/cijepa/job/board"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

// journal gathers metrics lines by file; they go to the bucket with every checkpoint, one object a flush and file. An
// attempt that is killed loses the lines of the steps that the next one computes again.
type journal struct {
	mu        sync.Mutex
	files     map[string][]byte // guarded by mu: the training loop adds, the saver flushes
	followers []func(line any)  // set before the first line
	board     board.Board       // the same for TensorBoard
}

// follow has f see every line, a record.Step, record.Health, record.Online or record.Alarm, as it is added. The training
// loop waits for f.
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

// flush writes what has been gathered; what cannot be written stays for the next flush.
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
	events, undrawn := j.board.Files()
	for _, f := range events {
		if err := run.Append(ctx, f.Name, f.Data); err != nil {
			return err
		}
		j.board.Written(f)
	}
	return undrawn
}
