package history

import (
	"cmp"
	"slices"
	"time"

	"github.com/cijepa/cijepa/job/record"
)

// Attempt is one start of the program.
type Attempt struct {
	Name    string
	Begun   time.Time
	Phase   string     // in which it began
	From    int64      // updates done in this phase when it began
	Reached int64      // updates done in this phase by its last sign of life
	Ended   *time.Time // nil: not on record, so it was killed or is at work
	How     string     // how it ended: Killed, record.Stopped, ...

	begin record.Attempt // its first line
	last  record.Attempt // its end, or the newest update that it is known to have made
	ended bool           // last is its end
}

// How an attempt ended, beside what it writes itself.
const (
	finished       = "finished"
	Killed         = "killed"
	atWork         = "at work"
	AtWorkOrKilled = "at work or killed" // the newest one, without an end on record
)

// setAttempts fills in the attempts from their lines, in the order in which they began.
func (r *Run) setAttempts(lines map[string][]record.Attempt) {
	for name, of := range lines {
		if len(of) == 0 {
			continue
		}
		a := Attempt{Name: name, begin: of[0], last: of[len(of)-1], ended: len(of) > 1}
		a.Begun, a.Phase, a.From, a.Reached = a.begin.Time, a.begin.Phase, a.begin.From, a.last.Step
		if a.ended {
			a.Ended, a.How = &a.last.Time, cmp.Or(a.last.How, record.Stopped)
		}
		r.Attempts = append(r.Attempts, a)
	}
	slices.SortFunc(r.Attempts, func(a, b Attempt) int {
		return cmp.Or(cmp.Compare(a.begin.Manifest, b.begin.Manifest),
			a.Begun.Compare(b.Begun), cmp.Compare(a.Name, b.Name))
	})
	for i := range r.Attempts {
		a := &r.Attempts[i]
		switch newest := i == len(r.Attempts)-1; {
		case a.ended:
		case newest && r.Result != nil:
			a.Ended, a.How = &r.Result.Stats.Ended, finished
		case newest:
			a.How = AtWorkOrKilled
		default:
			a.How = Killed
		}
	}
}

// order is the names of the attempts, the oldest first.
func (r *Run) order() (names []string) {
	for _, a := range r.Attempts {
		names = append(names, a.Name)
	}
	return names
}

// setReached raises how far each attempt came. Its lines of steps show it, and for a killed attempt
// also the step from which the next one began, unless an earlier attempt had come that far.
func (r *Run) setReached(steps map[string][]record.Step) {
	var furthest int64 // of the attempts so far, in the phase of this one
	for i := range r.Attempts {
		a := &r.Attempts[i]
		for _, s := range steps[a.Name] {
			if a.observe(s.Phase, s.Step); s.Phase == a.Phase {
				a.Reached = max(a.Reached, s.Step)
			}
		}
		if i > 0 && r.Attempts[i-1].Phase != a.Phase {
			furthest = 0
		}
		if i+1 < len(r.Attempts) && a.Ended == nil {
			if next := r.Attempts[i+1]; next.Phase == a.Phase && next.From > furthest {
				a.Reached = max(a.Reached, next.From)
			}
		}
		furthest = max(furthest, a.Reached)
	}
}

// observe takes note of an update that the attempt made.
func (a *Attempt) observe(phase string, step int64) {
	switch {
	case phase == a.last.Phase:
		a.last.Step = max(a.last.Step, step)
	case phase == record.Probing: // it went on from pretraining
		a.last.Phase, a.last.Step = phase, step
	}
}

// KilledOf counts the attempts that were killed and followed by another.
func KilledOf(attempts []Attempt) (n int) {
	for _, a := range attempts {
		if a.How == Killed {
			n++
		}
	}
	return n
}

// Lost counts the updates that the attempts, in the order in which they began, computed and did not
// commit. Attempts may overlap, as when a machine that was given up for lost comes back. It is a
// lower bound if one was killed: what that one computed after its last lines is not on record.
func Lost(attempts []Attempt) (updates int64) {
	for i, a := range attempts {
		committed := a.last.Step
		if a.last.Saved != nil {
			committed = *a.last.Saved
		}
		switch next := successor(attempts[i+1:], a); {
		case next == nil:
		case next.begin.Phase == a.last.Phase:
			committed = min(committed, next.begin.From) // less than it saved, if that was damaged
		case a.last.Phase == record.Probing:
			committed = 0 // of the probe
		}
		updates += max(0, a.last.Step-committed)
	}
	return updates
}

// successor is the attempt that went on from where a ended; nil if there is none.
func successor(later []Attempt, a Attempt) *Attempt {
	for i, next := range later {
		if !a.overlaps(next) && !next.committedNothing() {
			return &later[i]
		}
	}
	return nil
}

// overlaps reports whether the other attempt began before a had committed its last checkpoint, so
// that it cannot have gone on from there. Where manifest numbers are missing, the clocks decide.
func (a Attempt) overlaps(other Attempt) bool {
	fresh := other.begin.Phase == record.Pretraining && other.begin.From == 0
	if a.last.Manifest == 0 || other.begin.Manifest == 0 && !fresh {
		return a.ended && other.begin.Time.Before(a.last.Time)
	}
	return a.ended && other.begin.Manifest < a.last.Manifest
}

// committedNothing reports whether the attempt was overtaken before its first commit: the run did
// not go on from where it began.
func (a Attempt) committedNothing() bool {
	return a.last.How == record.Overtaken && a.last.Phase == a.begin.Phase &&
		a.last.Saved != nil && *a.last.Saved == a.begin.From
}
