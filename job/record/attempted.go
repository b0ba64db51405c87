package record

// Attempted is what is known of an attempt: its first line, and how far it came.
type Attempted struct {
	Begun Attempt
	Last  Attempt // its end, or the newest update that it is known to have made
	Ended bool    // Last is its end: nobody wrote one for an attempt that was killed or is at work
}

// Saw takes note of an update that the attempt is known to have made.
func (a *Attempted) Saw(phase string, step int64) {
	switch {
	case phase == a.Last.Phase:
		a.Last.Step = max(a.Last.Step, step)
	case phase == Probing: // it went on from pretraining
		a.Last.Phase, a.Last.Step = phase, step
	}
}

// beside tells that another attempt began while this one was still committing, and is not known to have gone on from its end.
func (a Attempted) beside(other Attempted) bool {
	fresh := other.Begun.Phase == Pretraining && other.Begun.From == 0
	if a.Last.Manifest == 0 || other.Begun.Manifest == 0 && !fresh { // there is none yet, or a version wrote it that did not tell
		return a.Ended && other.Begun.Time.Before(a.Last.Time)
	}
	return a.Ended && other.Begun.Manifest < a.Last.Manifest
}

// futile tells that it was overtaken before it had committed anything: the run did not go on from where it began.
func (a Attempted) futile() bool {
	return a.Last.How == Overtaken && a.Last.Phase == a.Begun.Phase && a.Last.Saved != nil && *a.Last.Saved == a.Begun.From
}

// Lost is how many updates of all attempts, in the order in which they began, were in vain: made and not committed. Attempts may
// overlap, as when a machine that was given up for lost comes back.
func Lost(all []Attempted) (updates int64) {
	for i, a := range all {
		committed := a.Last.Step
		if a.Last.Saved != nil {
			committed = *a.Last.Saved
		}
		switch next := successor(all[i+1:], a); {
		case next == nil:
		case next.Begun.Phase == a.Last.Phase:
			committed = min(committed, next.Begun.From) // less than it saved, when that was damaged
		case a.Last.Phase == Probing:
			committed = 0 // of the probe
		}
		updates += max(0, a.Last.Step-committed)
	}
	return updates
}

// successor is the attempt that took the run up after a had ended; nil when there is none.
func successor(later []Attempted, a Attempted) *Attempted {
	for i, next := range later {
		if !a.beside(next) && !next.futile() {
			return &later[i]
		}
	}
	return nil
}
