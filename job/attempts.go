package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/storage"
)

// recordAttempt writes where an attempt begins or ends. A run can do without it, so a failure is only logged.
func (j *Job) recordAttempt(ctx context.Context, line record.Attempt) {
	line.Time = time.Now().UTC()
	j.ended = line.How != ""
	text, err := json.Marshal(line)
	if err == nil {
		err = j.run.Append(ctx, record.Attempts+".jsonl", append(text, '\n'))
	}
	if err != nil {
		j.log.Warn("this attempt is not on record", "error", err)
	}
}

// unmoved puts the end of an attempt on record that was stopped before the first update of its phase, while programs were compiled: later ends
// are put there by stopped, which saves first.
func (j *Job) unmoved(ctx context.Context, at position, err error) error {
	if j.ended || !errors.Is(err, ErrStopped) {
		return err
	}
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	j.recordAttempt(short, record.Attempt{Phase: at.phase, From: at.step, Step: at.step, Saved: &at.step, How: record.Stopped})
	j.log.Warn("stopped", "phase", at.phase, "step", at.step, "saved", at.step, "lost", 0)
	return err
}

// attemptsMade tells how often the run was started, and how many updates were made in vain: as far as the attempts said it that
// could, or the metrics that the killed ones had written. An object that cannot be read is passed over: no run
// must fail over its own diary.
func attemptsMade(ctx context.Context, bucket *storage.Bucket, metrics string, log *slog.Logger) (attempts int, lost int64, err error) {
	type attempt struct {
		record.Attempted
		name string
	}
	byName := map[string]*attempt{}
	var all []*attempt
	keys, err := bucket.List(ctx, metrics+record.Attempts+"-")
	if err != nil {
		return 0, 0, err
	}
	for _, key := range keys {
		line, err := lastLine[record.Attempt](ctx, bucket, key)
		if err != nil {
			log.Warn("passed over in counting the attempts", "error", err)
			continue
		}
		name := attemptOf(key, record.Attempts)
		if a := byName[name]; a != nil {
			a.Last, a.Ended = line, true
			continue
		}
		a := &attempt{record.Attempted{Begun: line, Last: line}, name}
		byName[name] = a
		all = append(all, a)
	}
	steps, err := bucket.List(ctx, metrics+record.Steps+"-")
	if err != nil {
		return 0, 0, err
	}
	newest := map[string]string{} // by attempt; the listing is in order
	for _, key := range steps {
		newest[attemptOf(key, record.Steps)] = key
	}
	slices.SortFunc(all, func(a, b *attempt) int { return a.Begun.Time.Compare(b.Begun.Time) })
	var course []record.Attempted
	for _, a := range all {
		if key := newest[a.name]; key != "" {
			line, err := lastLine[record.Step](ctx, bucket, key)
			if err != nil {
				log.Warn("passed over in counting the lost updates", "error", err)
			} else {
				a.Saw(line.Phase, line.Step)
			}
		}
		course = append(course, a.Attempted)
	}
	return len(all), record.Lost(course), nil
}

// attemptOf is the attempt in metrics/<name>-<attempt>-<n>.jsonl.
func attemptOf(key, name string) string {
	rest := strings.TrimPrefix(path.Base(key), name+"-")
	return rest[:max(strings.LastIndexByte(rest, '-'), 0)]
}

// lastLine reads the last line of an object of JSON lines.
func lastLine[T any](ctx context.Context, bucket *storage.Bucket, key string) (line T, err error) {
	text, err := bucket.Get(ctx, key)
	if err != nil {
		return line, err
	}
	trimmed := strings.TrimSuffix(string(text), "\n")
	if err := json.Unmarshal([]byte(trimmed[strings.LastIndexByte(trimmed, '\n')+1:]), &line); err != nil {
		return line, fmt.Errorf("%s: %w", key, err)
	}
	return line, nil
}
