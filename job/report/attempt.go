package report

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
	Phase   string
	From    int64      // updates done in the phase when it began
	Reached int64      // updates done when it was last heard of
	Ended   *time.Time // nil: nobody wrote it down, so it was killed, or it is at work
	How     string
	known   record.Attempted
}

// How an attempt ended.
const (
	done    = "finished"
	killed  = "killed"
	atWork  = "at work"
	unknown = "at work or killed" // the newest one, which wrote down no end
)

// attempts fills in how each attempt went, and gives their names in the order in which they began.
func (r *Run) attempts(lines map[string][]record.Attempt) (order []string) {
	for name, of := range lines {
		if len(of) == 0 {
			continue
		}
		known := record.Attempted{Begun: of[0], Last: of[len(of)-1], Ended: len(of) > 1}
		a := Attempt{Name: name, Begun: known.Begun.Time, Phase: known.Begun.Phase, From: known.Begun.From, Reached: known.Last.Step, known: known}
		if known.Ended {
			a.Ended, a.How = &known.Last.Time, cmp.Or(known.Last.How, record.Stopped)
		}
		r.Attempts = append(r.Attempts, a)
	}
	slices.SortFunc(r.Attempts, func(a, b Attempt) int {
		return cmp.Or(cmp.Compare(a.known.Begun.Manifest, b.known.Begun.Manifest), a.Begun.Compare(b.Begun), cmp.Compare(a.Name, b.Name))
	})
	for i := range r.Attempts {
		a := &r.Attempts[i]
		order = append(order, a.Name)
		switch last := i == len(r.Attempts)-1; {
		case a.Ended != nil:
		case last && r.Result != nil:
			a.Ended, a.How = &r.Result.Stats.Ended, done
		case last:
			a.How = unknown
		default:
			a.How = killed
		}
	}
	return order
}

// reached raises how far an attempt is known to have come: by the lines that it wrote, and if it was killed by what the next began
// from, unless another had come that far.
func (r *Run) reached(steps map[string][]record.Step) {
	var furthest int64 // of the attempts so far, in the phase of this one
	for i := range r.Attempts {
		a := &r.Attempts[i]
		for _, s := range steps[a.Name] {
			if a.known.Saw(s.Phase, s.Step); s.Phase == a.Phase {
				a.Reached = max(a.Reached, s.Step)
			}
		}
		if i > 0 && r.Attempts[i-1].Phase != a.Phase {
			furthest = 0
		}
		if i+1 < len(r.Attempts) && a.Ended == nil && r.Attempts[i+1].Phase == a.Phase && r.Attempts[i+1].From > furthest {
			a.Reached = max(a.Reached, r.Attempts[i+1].From)
		}
		furthest = max(furthest, a.Reached)
	}
}
