package history

import (
	"slices"

	"github.com/cijepa/cijepa/job/record"
)

// Current is the lines that a process in progress has written, by kind and in order.
type Current struct {
	Steps  []record.Step // of both phases
	Health []record.Health
	Evals  []record.Eval
	Alarms []record.Alarm
}

// With returns the run with the lines that its newest attempt has written since the run was read.
// Of two lines with one step these count. The run itself is not changed.
func (r *Run) With(current Current) *Run {
	all := *r
	all.Steps, all.Probe = renewed(r.Steps, current.Steps, pretrainingStep), renewed(r.Probe, current.Steps, probeStep)
	all.Health = renewed(r.Health, current.Health, healthStep)
	all.Evals = renewed(r.Evals, current.Evals, evalStep)
	all.Alarms = distinct(slices.Concat(r.Alarms, current.Alarms))
	if n := len(all.Attempts); n > 0 {
		all.Attempts = slices.Clone(r.Attempts)
		all.Attempts[n-1].How = atWork
		all.setReached(map[string][]record.Step{all.Attempts[n-1].Name: current.Steps})
	}
	return &all
}

// renewed replaces older lines by newer ones of the same step.
func renewed[T any](older, newer []T, step func(T) (step int64, wanted bool)) []T {
	return merge(map[string][]T{"older": older, "newer": newer}, []string{"older", "newer"}, step)
}
