package report

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/storage"
)

// Recipe is the settings of a run as they come, by name.
type Recipe = map[string]json.RawMessage

// Run is one run.
type Run struct {
	Name     string
	Preset   string
	Begun    record.Begun[Recipe]
	Result   *record.Result[Recipe] // nil: not finished, or torn
	Torn     bool                   // it has finished, and what it found cannot be read
	Steps    []record.Step          // of pretraining, by step
	Probe    []record.Step          // of the probe, by step
	Health   []record.Health        // by step
	Online   []record.Online        // by step
	Alarms   []record.Alarm         // by step
	Attempts []Attempt              // by time
	Trouble  []string               // objects that could not be read
}

// Attempt is one start of the program.
type Attempt struct {
	Name    string
	Begun   time.Time
	Phase   string
	From    int64      // updates done in the phase when it began
	Reached int64      // updates done when it was last heard of
	Ended   *time.Time // nil: nobody wrote it down, so it was killed, or it is at work
	How     string
}

// How an attempt ended.
const (
	done    = "finished"
	stopped = "stopped"
	killed  = "killed"
	atWork  = "at work"
	unknown = "at work or killed" // the newest one, which wrote down no end
)

// probing is the phase after pretraining in the lines.
const probing = "probe"

// readRun reads a run from its keys, which are below runs/<name>/.
func readRun(ctx context.Context, bucket *storage.Bucket, name string, keys []string) (*Run, error) {
	r := &Run{Name: name}
	prefix := "runs/" + name + "/"
	if !slices.Contains(keys, "run.json") {
		return nil, fmt.Errorf("%srun.json is not there: no run, or one that ended before it began", prefix)
	}
	if err := readJSON(ctx, bucket, prefix+"run.json", &r.Begun); err != nil {
		return nil, err
	}
	if r.Begun.Version != record.Version {
		return nil, fmt.Errorf("%srun.json has version %d, and this program reads %d", prefix, r.Begun.Version, record.Version)
	}
	r.Preset = r.Begun.Preset
	if slices.Contains(keys, "result.json") {
		if err := r.readResult(ctx, bucket, prefix); ctx.Err() != nil || errors.Is(err, storage.ErrUnreachable) {
			return nil, err
		} else if err != nil {
			r.Trouble, r.Torn = append(r.Trouble, err.Error()), true
		}
	}
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
	r.Steps = merge(steps, order, func(l record.Step) (int64, bool) { return l.Step, l.Phase != probing })
	r.Probe = merge(steps, order, func(l record.Step) (int64, bool) { return l.Step, l.Phase == probing })
	health, err := readLines[record.Health](ctx, bucket, r, prefix, keys, record.Healths)
	if err != nil {
		return nil, err
	}
	r.Health = merge(health, order, func(l record.Health) (int64, bool) { return l.Step, true })
	online, err := readLines[record.Online](ctx, bucket, r, prefix, keys, record.Onlines)
	if err != nil {
		return nil, err
	}
	r.Online = merge(online, order, func(l record.Online) (int64, bool) { return l.Step, true })
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
	if len(result.Figures.Depths) == 0 {
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

// readLines reads the lines of one name, by attempt. What cannot be read is trouble, and the other lines hold.
func readLines[T any](ctx context.Context, bucket *storage.Bucket, r *Run, prefix string, keys []string, name string) (map[string][]T, error) {
	all := map[string][]T{}
	for _, key := range keys {
		rest, ok := strings.CutPrefix(key, "metrics/"+name+"-")
		attempt, isLines := strings.CutSuffix(rest, ".jsonl")
		if !ok || !isLines {
			continue
		}
		attempt = attempt[:max(strings.LastIndexByte(attempt, '-'), 0)]
		text, err := bucket.Get(ctx, prefix+key)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, storage.ErrUnreachable) {
				return nil, err
			}
			r.Trouble = append(r.Trouble, err.Error())
			continue
		}
		damaged, why := 0, error(nil)
		for line := range strings.Lines(string(text)) {
			var l T
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				damaged, why = damaged+1, cmp.Or(why, err)
				continue
			}
			all[attempt] = append(all[attempt], l)
		}
		if damaged > 0 {
			r.Trouble = append(r.Trouble, fmt.Sprintf("%s%s has %d damaged lines, the first: %v", prefix, key, damaged, why))
		}
	}
	return all, nil
}

// attempts fills in how each attempt went, and gives their names in order of time.
func (r *Run) attempts(lines map[string][]record.Attempt) (order []string) {
	for name, of := range lines {
		if len(of) == 0 {
			continue
		}
		begun, last := of[0], of[len(of)-1]
		a := Attempt{Name: name, Begun: begun.Time, Phase: begun.Phase, From: begun.From, Reached: last.Step}
		if len(of) > 1 {
			a.Ended, a.How = &last.Time, stopped
		}
		r.Attempts = append(r.Attempts, a)
	}
	slices.SortFunc(r.Attempts, func(a, b Attempt) int { return cmp.Or(a.Begun.Compare(b.Begun), cmp.Compare(a.Name, b.Name)) })
	for i := range r.Attempts {
		a := &r.Attempts[i]
		order = append(order, a.Name)
		if i+1 < len(r.Attempts) && r.Attempts[i+1].Phase == a.Phase { // it or one before it saved what the next began from
			a.Reached = max(a.Reached, r.Attempts[i+1].From)
		}
		switch last := i == len(r.Attempts)-1; {
		case a.Ended != nil:
		case last && r.Result != nil:
			a.Ended, a.How = &r.Result.Course.Ended, done
		case last:
			a.How = unknown
		default:
			a.How = killed
		}
	}
	return order
}

// reached raises how far an attempt is known to have come by the lines that it wrote.
func (r *Run) reached(steps map[string][]record.Step) {
	for i := range r.Attempts {
		a := &r.Attempts[i]
		for _, s := range steps[a.Name] {
			if s.Phase == a.Phase {
				a.Reached = max(a.Reached, s.Step)
			}
		}
	}
}

// merge puts the lines of all attempts that are wanted into one row by step; of two lines with one step the newer attempt's
// holds. Attempts that are not in order, because nobody wrote down when they began, come first.
func merge[T any](byAttempt map[string][]T, order []string, step func(T) (at int64, wanted bool)) []T {
	held := map[int64]T{}
	place := func(name string) int { return slices.Index(order, name) }
	names := make([]string, 0, len(byAttempt))
	for name := range byAttempt {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b)) })
	for _, name := range names {
		for _, l := range byAttempt[name] {
			if at, wanted := step(l); wanted {
				held[at] = l
			}
		}
	}
	var all []T
	for _, at := range slices.Sorted(maps.Keys(held)) {
		all = append(all, held[at])
	}
	return all
}

// distinct leaves one of the alarms that several attempts raised over the same update.
func distinct(alarms []record.Alarm) []record.Alarm {
	at := func(p *int) int {
		if p == nil {
			return -1
		}
		return *p
	}
	slices.SortStableFunc(alarms, func(a, b record.Alarm) int {
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(a.Alarm, b.Alarm), cmp.Compare(at(a.Depth), at(b.Depth)), cmp.Compare(at(a.To), at(b.To)), a.Time.Compare(b.Time))
	})
	return slices.CompactFunc(alarms, func(a, b record.Alarm) bool {
		return a.Step == b.Step && a.Alarm == b.Alarm && at(a.Depth) == at(b.Depth) && at(a.To) == at(b.To)
	})
}

// Depths are the collected depths.
func (r *Run) Depths() []int {
	if len(r.Health) > 0 {
		return r.Health[len(r.Health)-1].Depths
	}
	var depths []int
	if r.Result != nil {
		for _, d := range r.Result.Figures.Depths {
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
		return r.Result.Figures.Table
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
	if n := len(r.Attempts); len(r.Probe) > 0 || n > 0 && r.Attempts[n-1].Phase == probing {
		return "in the probe"
	}
	if n := len(r.Steps); n > 0 {
		return fmt.Sprintf("epoch %.1f of %s", r.Steps[n-1].Epoch, r.Setting("Epochs"))
	}
	return "begun"
}
