package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/storage"
)

// Run is one run.
type Run struct {
	Name     string
	Preset   string
	Record   RunRecord
	Result   *Result         // nil: not finished, or damaged
	Damaged  bool            // the run has finished, and its result cannot be read
	Steps    []record.Step   // of pretraining, by step
	Probe    []record.Step   // of the probe, by step
	Health   []record.Health // by step
	Evals    []record.Eval   // by step
	Alarms   []record.Alarm  // by step
	Attempts []Attempt       // in the order in which they began
	Pictures *Pictures       // nil: there are none, or they are damaged
	Problems []string        // objects and lines that could not be read

	// RecordsAlone: what was read is a copy of run.json and result.json, as is published, with
	// neither metrics nor pictures. The teacher is elsewhere.
	RecordsAlone bool

	Answers *Answers // nil: none, or not read (ReadAnswers)
}

// read reads the run in a folder.
func (f folder) read(ctx context.Context) (*Run, error) {
	r := &Run{Name: f.name, RecordsAlone: f.recordsAlone()}
	if err := r.readRecord(ctx, f); err != nil {
		return nil, err
	}
	l := &lineReader{ctx: ctx, folder: f, run: r}
	r.setAttempts(readLines(l, record.Attempts, nil, checkAttempt))
	steps := readLines(l, record.Steps, nil, checkStep)
	r.setReached(steps)
	order := r.order()
	r.Steps, r.Probe = merge(steps, order, pretrainingStep), merge(steps, order, probeStep)
	r.Health = merge(readLines(l, record.Healths, nil, checkHealth), order, healthStep)
	r.Evals = merge(readLines(l, record.Evals, nil, checkEval), order, evalStep)
	for _, lines := range readLines(l, record.Alarms, nil, checkAlarm) {
		r.Alarms = append(r.Alarms, lines...)
	}
	r.Alarms = distinct(r.Alarms)
	if l.err != nil {
		return nil, l.err
	}
	if err := r.readPictures(ctx, f); err != nil {
		return nil, err
	}
	return r, nil
}

// readRecord reads run.json and result.json. If the former is missing, the latter stands in for it.
func (r *Run) readRecord(ctx context.Context, f folder) error {
	begun, finished := f.has("run.json"), f.has("result.json")
	switch {
	case begun:
		if err := readJSON(ctx, f, "run.json", &r.Record); err != nil {
			return err
		}
		if err := checkRecord(r.Record); err != nil {
			return fmt.Errorf("%s is damaged: %w", f.key("run.json"), err)
		}
	case !finished:
		return fmt.Errorf("%s is not there: no run, or one that ended before it began", f.key("run.json"))
	}
	if finished {
		switch err := r.readResult(ctx, f); {
		case err == nil:
		case ctx.Err() != nil || errors.Is(err, storage.ErrUnreachable) || !begun:
			return err
		default:
			r.Problems, r.Damaged = append(r.Problems, err.Error()), true
		}
	}
	if !begun {
		of := r.Result
		r.Record = RunRecord{
			Version: of.Version, Preset: of.Preset, Recipe: of.Recipe,
			Fingerprint: of.Data.Fingerprint, Versions: of.Versions, Begun: of.Stats.Begun,
		}
		r.Problems = append(r.Problems, f.key("run.json")+" is not there: the settings are those in result.json")
	}
	r.Preset = r.Record.Preset
	return nil
}

// readResult reads the result of a finished run.
func (r *Run) readResult(ctx context.Context, f folder) error {
	var result Result
	if err := readJSON(ctx, f, "result.json", &result); err != nil {
		return err
	}
	if err := checkResult(result); err != nil {
		return fmt.Errorf("%s is damaged: %w", f.key("result.json"), err)
	}
	r.Result = &result
	return nil
}

// readJSON reads one object of the folder.
func readJSON(ctx context.Context, f folder, name string, to any) error {
	if size := f.sizes[name]; size > maxRecord {
		return fmt.Errorf("%s is damaged: it has %d bytes", f.key(name), size)
	}
	text, err := f.bucket.Get(ctx, f.key(name))
	if errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("%s is not there", f.key(name))
	}
	if err != nil {
		return err
	}
	if err := record.Unseal(text, to); err != nil {
		if _, other := errors.AsType[*record.VersionError](err); other {
			return fmt.Errorf("%s cannot be read: %w", f.key(name), err)
		}
		return fmt.Errorf("%s is damaged: %w", f.key(name), err)
	}
	return nil
}

// Scored reports whether the run has finished and its teacher was probed.
func (r *Run) Scored() bool { return r.Result != nil && r.Result.Metrics.Scored() }

// Depths are the collected depths.
func (r *Run) Depths() []int {
	if len(r.Health) > 0 {
		return r.Health[len(r.Health)-1].Depths
	}
	var depths []int
	if r.Scored() {
		for _, d := range r.Result.Metrics.Depths {
			depths = append(depths, d.Depth)
		}
	} else if json.Unmarshal(r.Record.Recipe["Depths"], &depths) != nil || len(depths) > maxDepths {
		return nil
	}
	return depths
}

// Table is the newest table of errors, [source depth][target depth]; nil if there is none yet.
func (r *Run) Table() [][]*float64 {
	if r.Result != nil {
		return r.Result.Metrics.Table
	}
	for _, s := range slices.Backward(r.Steps) {
		if s.Table != nil {
			return s.Table
		}
	}
	return nil
}

// State says in a few words whether the run has finished, and else how its newest attempt ended, if
// it has, and how far the run is.
func (r *Run) State() string {
	switch {
	case r.Result != nil:
		return finished
	case r.Damaged:
		return "finished, unreadable"
	case len(r.Attempts) == 0:
		return r.reached()
	}
	return r.Attempts[len(r.Attempts)-1].How + ", " + r.reached()
}

// reached says how far a run is that has not finished.
func (r *Run) reached() string {
	if n := len(r.Attempts); len(r.Probe) > 0 || n > 0 && r.Attempts[n-1].Phase == record.Probing {
		return "in the probe"
	}
	if n := len(r.Steps); n > 0 {
		return fmt.Sprintf("epoch %.1f of %s", r.Steps[n-1].Epoch, r.Setting("Epochs"))
	}
	return "begun"
}

// Hours is the computing time of a finished run, as its result says; nil before.
func (r *Run) Hours() *float64 {
	if r.Result == nil {
		return nil
	}
	s := r.Result.Stats
	hours := (s.PretrainSeconds + s.ProbeSeconds + s.ScoreSeconds) / 3600
	return &hours
}

// ImagesPerSecond is the throughput of pretraining: of the whole run once it has finished, else the
// newest.
func (r *Run) ImagesPerSecond() *float64 {
	if r.Result != nil {
		return &r.Result.Stats.ImagesPerSecond
	}
	if n := len(r.Steps); n > 0 {
		return &r.Steps[n-1].ImagesPerSecond
	}
	return nil
}

// DataWait is the share of pretraining spent waiting for images, in percent: of the whole run once
// it has finished, else the newest.
func (r *Run) DataWait() *float64 {
	var percent float64
	switch n := len(r.Steps); {
	case r.Result != nil:
		percent = 100 * r.Result.Stats.DataWait
	case n > 0:
		percent = 100 * r.Steps[n-1].DataWait
	default:
		return nil
	}
	return &percent
}

// Starts counts the attempts. A copy of the result alone has none on record, but their number.
func (r *Run) Starts() int {
	if len(r.Attempts) == 0 && r.Result != nil {
		return r.Result.Stats.Attempts
	}
	return len(r.Attempts)
}

// Lost counts the updates that were computed and not committed, as far as the lines tell: at least
// so many if an attempt was killed.
func (r *Run) Lost() int64 {
	if r.Result != nil {
		return r.Result.Stats.UpdatesLost
	}
	return Lost(r.Attempts)
}

// Killed counts the attempts that wrote no end. Of what they computed, Lost knows only what their
// lines tell.
func (r *Run) Killed() int {
	if len(r.Attempts) == 0 && r.Result != nil {
		return r.Result.Stats.Killed
	}
	return KilledOf(r.Attempts)
}

// Judge is a sentence on a run with scores whose teacher does not beat its untrained self by all
// measures; empty for any other: see record.Metrics.
func (r *Run) Judge() string {
	if !r.Scored() {
		return ""
	}
	return r.Result.Metrics.Judge(r.Result.Data.ValidationSamples)
}
