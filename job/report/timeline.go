package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/cijepa/cijepa/job/history"
)

// timeline is the attempts of a run on one line of time.
type timeline struct {
	Begin, End time.Time
	Spans      []span
}

// span is an attempt in the timeline.
type span struct {
	history.Attempt
	Left, Width float64 // percent of the whole time
	Unsure      bool    // when it ended, or whether it is at work
	Seconds     float64
	Duration    string
}

// newTimeline lays the attempts out; nil without any. The end of a killed attempt is not on record:
// it lasted, at most, until the next one began.
func newTimeline(run *history.Run, now time.Time) *timeline {
	if len(run.Attempts) == 0 {
		return nil
	}
	t := &timeline{Begin: run.Attempts[0].Begun, End: now}
	if run.Result != nil {
		t.End = run.Result.Stats.Ended
	}
	whole := max(t.End.Sub(t.Begin).Seconds(), 1e-3)
	for i, a := range run.Attempts {
		end := t.End
		switch {
		case a.Ended != nil:
			end = *a.Ended
		case i+1 < len(run.Attempts):
			end = run.Attempts[i+1].Begun
		}
		s := span{Attempt: a, Seconds: end.Sub(a.Begun).Seconds(), Duration: duration(end.Sub(a.Begun))}
		s.Left = min(max(100*a.Begun.Sub(t.Begin).Seconds()/whole, 0), 100)
		s.Width = min(max(100*s.Seconds/whole, 0.4), 100-s.Left)
		switch a.How {
		case history.Killed:
			s.Unsure, s.Duration = true, "at most "+s.Duration
		case history.AtWorkOrKilled:
			s.Unsure, s.Duration = true, "–"
		}
		t.Spans = append(t.Spans, s)
	}
	return t
}

// Alt says in words what the timeline shows, for those who do not see it.
func (t *timeline) Alt() string {
	var words []string
	for _, same := range grouped(t.Spans, func(s span) string { return s.How }) {
		words = append(words, fmt.Sprintf("%d %s", len(same), same[0].How))
	}
	return fmt.Sprintf("Attempts over %s: %s.", duration(t.End.Sub(t.Begin)), strings.Join(words, ", "))
}

// lost writes how many updates a run has lost, as far as that is known.
func lost(run *history.Run) string {
	if run.Killed() > 0 {
		return fmt.Sprintf("≥ %d", run.Lost())
	}
	return fmt.Sprint(run.Lost())
}

// duration writes a time in two units at most.
func duration(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}

// Progress is how far a run in progress is: the head of its page, which a browser asks for again
// and again.
type Progress struct {
	Doing       string        // what the run does now, in words
	Done, Total int64         // updates of the phase that it is in; 0: it is in none
	Remaining   time.Duration // of the phase, at its mean speed so far; 0: not known yet
	Idle        time.Duration // since the last progress
}

// RemainingText is Remaining in words; empty if it is not known.
func (p Progress) RemainingText() string {
	if p.Remaining <= 0 {
		return ""
	}
	return duration(p.Remaining)
}

// IdleText is Idle in words.
func (p Progress) IdleText() string {
	if p.Idle < 10*time.Second {
		return fmt.Sprintf("%.1f s", p.Idle.Seconds())
	}
	return duration(p.Idle)
}
