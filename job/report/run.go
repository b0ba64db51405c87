package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/storage"
)

// Recipe is the settings of a run as they come, by name.
type Recipe = map[string]json.RawMessage

// Run is one run.
type Run struct {
	Name     string
	Preset   string
	Begun    record.RunRecord[Recipe]
	Result   *record.Result[Recipe] // nil: not finished, or torn
	Torn     bool                   // it has finished, and what it found cannot be read
	Steps    []record.Step          // of pretraining, by step
	Probe    []record.Step          // of the probe, by step
	Health   []record.Health        // by step
	Online   []record.Eval          // by step
	Alarms   []record.Alarm         // by step
	Attempts []Attempt              // by time
	Trouble  []string               // objects that could not be read
}

// readRun reads a run from its keys, which are below runs/<name>/.
func readRun(ctx context.Context, bucket *storage.Bucket, name string, keys []string) (*Run, error) {
	r := &Run{Name: name}
	prefix := "runs/" + name + "/"
	has := func(name string) bool { return slices.Contains(keys, name) }
	switch {
	case has("run.json"):
		if err := readJSON(ctx, bucket, prefix+"run.json", &r.Begun); err != nil {
			return nil, err
		}
		if r.Begun.Version != record.Version {
			return nil, fmt.Errorf("%srun.json has version %d, and this program reads %d", prefix, r.Begun.Version, record.Version)
		}
	case !has("result.json"):
		return nil, fmt.Errorf("%srun.json is not there: no run, or one that ended before it began", prefix)
	}
	if has("result.json") {
		if err := r.readResult(ctx, bucket, prefix); ctx.Err() != nil || errors.Is(err, storage.ErrUnreachable) {
			return nil, err
		} else if err != nil && !has("run.json") {
			return nil, err
		} else if err != nil {
			r.Trouble, r.Torn = append(r.Trouble, err.Error()), true
		}
	}
	if of := r.Result; !has("run.json") {
		r.Begun = record.RunRecord[Recipe]{Version: of.Version, Preset: of.Preset, Recipe: of.Recipe, Fingerprint: of.Data.Fingerprint, Versions: of.Versions, Begun: of.Stats.Begun}
		r.Trouble = append(r.Trouble, prefix+"run.json is not there: the settings are those in result.json")
	}
	r.Preset = r.Begun.Preset
	attempts, err := readLines[record.Attempt](ctx, bucket, r, prefix, keys, record.Attempts)
	if err != nil {
		return nil, err
	}
	order := r.attempts(attempts)
	steps, err := readLines[record.Step](ctx, bucket, r, prefix, keys, record.Steps)
	if err != nil {
		return nil, err
	}
	r.reached(steps)
	r.Steps = merge(steps, order, func(l record.Step) (int64, bool) { return l.Step, l.Phase != record.Probing })
	r.Probe = merge(steps, order, func(l record.Step) (int64, bool) { return l.Step, l.Phase == record.Probing })
	health, err := readLines[record.Health](ctx, bucket, r, prefix, keys, record.Healths)
	if err != nil {
		return nil, err
	}
	r.Health = merge(health, order, func(l record.Health) (int64, bool) { return l.Step, true })
	online, err := readLines[record.Eval](ctx, bucket, r, prefix, keys, record.Evals)
	if err != nil {
		return nil, err
	}
	r.Online = merge(online, order, func(l record.Eval) (int64, bool) { return l.Step, true })
	alarms, err := readLines[record.Alarm](ctx, bucket, r, prefix, keys, record.Alarms)
	if err != nil {
		return nil, err
	}
	for _, lines := range alarms {
		r.Alarms = append(r.Alarms, lines...)
	}
	r.Alarms = distinct(r.Alarms)
	return r, nil
}

// readResult reads what a finished run has found.
func (r *Run) readResult(ctx context.Context, bucket *storage.Bucket, prefix string) error {
	var result record.Result[Recipe]
	if err := readJSON(ctx, bucket, prefix+"result.json", &result); err != nil {
		return err
	}
	if result.Version != record.Version {
		return fmt.Errorf("%sresult.json has version %d, and this program reads %d", prefix, result.Version, record.Version)
	}
	if len(result.Metrics.Depths) == 0 {
		return fmt.Errorf("%sresult.json has no figures", prefix)
	}
	r.Result = &result
	return nil
}

// readJSON reads one object.
func readJSON(ctx context.Context, bucket *storage.Bucket, key string, to any) error {
	text, err := bucket.Get(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("%s is not there", key)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("%s is damaged: %w", key, err)
	}
	return nil
}

// Depths are the collected depths.
func (r *Run) Depths() []int {
	if len(r.Health) > 0 {
		return r.Health[len(r.Health)-1].Depths
	}
	var depths []int
	if r.Result != nil {
		for _, d := range r.Result.Metrics.Depths {
			depths = append(depths, d.Depth)
		}
	} else if json.Unmarshal(r.Begun.Recipe["Depths"], &depths) != nil {
		return nil
	}
	return depths
}

// Table is the newest table of errors, source depth x target depth; nil when there is none yet.
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

// State says in a few words how far the run is.
func (r *Run) State() string {
	if r.Result != nil {
		return "finished"
	}
	if r.Torn {
		return "finished, unreadable"
	}
	if n := len(r.Attempts); len(r.Probe) > 0 || n > 0 && r.Attempts[n-1].Phase == record.Probing {
		return "in the probe"
	}
	if n := len(r.Steps); n > 0 {
		return fmt.Sprintf("epoch %.1f of %s", r.Steps[n-1].Epoch, r.Setting("Epochs"))
	}
	return "begun"
}
