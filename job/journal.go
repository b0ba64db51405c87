package job

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"sync"

	"github.com/cijepa/cijepa/storage"
)

// stepLine is one line of metrics/steps-*.jsonl: a step of pretraining as it was seen when a log line was due.
type stepLine struct {
	Phase           string       `json:"phase"`
	Step            int64        `json:"step"`
	Epoch           float64      `json:"epoch"`
	Loss            *float64     `json:"loss"`
	Rate            float64      `json:"rate"`
	Momentum        float64      `json:"momentum,omitempty"`
	ImagesPerSecond float64      `json:"images_per_second"`
	DataWait        float64      `json:"data_wait"` // share of the time since the last line
	Skipped         int64        `json:"skipped_updates"`
	Bad             int64        `json:"bad_samples"`
	Table           [][]*float64 `json:"table,omitempty"`
}

// journal gathers metrics lines by file; they go to the bucket with every checkpoint, one object a flush and file. An
// attempt that is killed loses the lines of the steps that the next one computes again.
type journal struct {
	mu    sync.Mutex
	files map[string][]byte // guarded by mu: the training loop adds, the saver flushes
}

// add appends a line to one of metrics/*.jsonl.
func (j *journal) add(file string, line any) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.files == nil {
		j.files = map[string][]byte{}
	}
	j.files[file] = append(append(j.files[file], text...), '\n')
	return nil
}

// flush writes what has been gathered; what cannot be written stays for the next flush.
func (j *journal) flush(ctx context.Context, run *storage.Run) error {
	j.mu.Lock()
	held := maps.Clone(j.files)
	j.mu.Unlock()
	for file, text := range held {
		if len(text) == 0 {
			continue
		}
		if err := run.Append(ctx, file, text); err != nil {
			return err
		}
		j.mu.Lock()
		j.files[file] = bytes.Clone(j.files[file][len(text):])
		j.mu.Unlock()
	}
	return nil
}
