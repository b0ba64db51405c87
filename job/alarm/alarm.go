// Package alarm holds what a run records of itself against limits that no healthy run reaches. It
// is pure: the alarms are a function of the lines of the journal, in their order. It knows no log
// and no bucket.
//
//	alarm.go    Rules and State: which lines are evaluated
//	rules.go    the rules
//	reading.go  a value against its limit, and when a rule fires
//	limits.go   the limits, with the figures behind them
package alarm

import (
	"fmt"
	"slices"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
)

// State is what the rules remember. It travels in every checkpoint, so that a restart neither
// repeats an alarm nor misses one.
type State struct {
	Count          int        `json:"count"`             // alarms so far
	Firing         []string   `json:"ringing,omitempty"` // kinds, with their depths, that have fired and not recovered; sorted
	Skips          []int64    `json:"skips,omitempty"`   // updates among the last skipWindow that were skipped
	WarmupUpdates  []int64    `json:"settled,omitempty"` // updates by pathway at the first line after the warm-up
	LastHealthStep int64      `json:"judged"`            // of the newest record.Health that was evaluated
	RMS            []*float64 `json:"rms,omitempty"`     // of that line, once the warm-up was over
	BestRanks      []float64  `json:"ranks,omitempty"`   // by depth, after the warm-up
	BestTop1       float64    `json:"top1"`              // of the online evaluations after the warm-up
}

// Rules evaluates the lines of one run.
type Rules struct {
	depths           []int
	rows             int   // source depths sampled in an update beside the deepest
	normed           bool  // targets are normalised
	warmup, perEpoch int64 // updates
	state            *State
}

// New returns the rules of a run: its depths, its sampled source rows, whether targets are
// normalised, and the updates of its warm-up and of an epoch. The rules read and change state.
func New(depths []int, rows int, normed bool, warmup, perEpoch int64, state *State) Rules {
	return Rules{depths: depths, rows: rows, normed: normed, warmup: warmup, perEpoch: perEpoch, state: state}
}

// warm says whether the warm-up is over.
func (r Rules) warm(step int64) bool { return step > max(r.warmup, minUpdates) }

// Evaluate returns the alarms that a line of the journal fires.
func (r Rules) Evaluate(line any) []record.Alarm {
	switch l := line.(type) {
	case record.Step:
		if l.Phase == record.Pretraining {
			return slices.Concat(r.pathways(l), r.table(l))
		}
	case record.Health:
		if l.Step > r.state.LastHealthStep {
			return r.health(l)
		}
	case record.Eval:
		if r.warm(l.Step) { // learning begins with a fall below the untrained encoder
			return r.eval(l)
		}
	}
	return nil
}

// EvaluateUpdate returns the alarms that an update fires; skipped says that its gradient was not
// finite.
func (r Rules) EvaluateUpdate(step int64, skipped bool) []record.Alarm {
	s := r.state
	s.Skips = slices.DeleteFunc(s.Skips, func(at int64) bool { return at <= step-skipWindow })
	if skipped {
		s.Skips = append(s.Skips, step)
	}
	n := float64(len(s.Skips))
	one := reading{value: &n, limit: maxSkips, bad: n > maxSkips, good: n == 0}
	return r.fire(record.AlarmNotFinite, step, []reading{one}, func(reading) string {
		return fmt.Sprintf("%g of the last %d updates were skipped, because a gradient was not finite; "+
			"%d in a row end the run: lower %s",
			n, skipWindow, MaxSkipped, settings.Variable("PeakLR"))
	})
}
