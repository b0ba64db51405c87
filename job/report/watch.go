package report

import (
	"fmt"
	"slices"
	"time"

	"github.com/cijepa/cijepa/job/record"
)

// Watch is what the page of a run in progress tells beyond its lines. Its browser asks for the page again and again.
type Watch struct {
	Doing       string        // what the run does now, in words
	Done, Total int64         // updates of the phase that it is in; 0: it is in none
	Remaining   time.Duration // of the phase, as fast as until now; 0: nobody knows yet
	Idle        time.Duration // since anything moved
}

// Renew is after how many seconds a browser asks again.
func (Watch) Renew() int { return 15 }

// Left writes how long the phase still takes; empty when nobody knows.
func (w Watch) Left() string {
	if w.Remaining <= 0 {
		return ""
	}
	return lasted(w.Remaining)
}

// Still writes how long nothing has moved.
func (w Watch) Still() string {
	if w.Idle < 10*time.Second {
		return fmt.Sprintf("%.1f s", w.Idle.Seconds())
	}
	return lasted(w.Idle)
}

// Lines are what a process writes of a run, by kind and in order.
type Lines struct {
	Steps  []record.Step // of both phases
	Health []record.Health
	Online []record.Eval
	Alarms []record.Alarm
}

// With is the run and the lines that its newest attempt has written since the run was read: where both have one update, those hold.
func (r *Run) With(newer Lines) *Run {
	all := *r
	var pretrain, probe []record.Step
	for _, s := range newer.Steps {
		if s.Phase == record.Probing {
			probe = append(probe, s)
		} else {
			pretrain = append(pretrain, s)
		}
	}
	all.Steps = renewed(r.Steps, pretrain, func(l record.Step) int64 { return l.Step })
	all.Probe = renewed(r.Probe, probe, func(l record.Step) int64 { return l.Step })
	all.Health = renewed(r.Health, newer.Health, func(l record.Health) int64 { return l.Step })
	all.Online = renewed(r.Online, newer.Online, func(l record.Eval) int64 { return l.Step })
	all.Alarms = distinct(slices.Concat(r.Alarms, newer.Alarms))
	if n := len(all.Attempts); n > 0 {
		all.Attempts = slices.Clone(r.Attempts)
		all.Attempts[n-1].How = atWork
		all.reached(map[string][]record.Step{all.Attempts[n-1].Name: newer.Steps})
	}
	return &all
}

// renewed puts newer lines in the place of older ones of the same update.
func renewed[T any](older, newer []T, step func(T) int64) []T {
	by := map[string][]T{"older": older, "newer": newer}
	return merge(by, []string{"older", "newer"}, func(l T) (int64, bool) { return step(l), true })
}
