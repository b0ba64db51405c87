package report

import (
	"fmt"
	"strings"
	"time"
)

// timeline is the attempts of a run on one line of time.
type timeline struct {
	Begin, End time.Time
	Spans      []span
}

// span is an attempt in the timeline: where it lies, in percent of the whole time.
type span struct {
	Attempt
	Left, Width float64
	Unsure      bool // whether it is at work until the right end, and when it ended
	Seconds     float64
	Lasted      string
}

// timeline lays the attempts out; nil when there are none. Nobody writes down when a killed attempt ended: it lasts, at most, until the
// next began.
func (r *Run) timeline(now time.Time) *timeline {
	if len(r.Attempts) == 0 {
		return nil
	}
	t := &timeline{Begin: r.Attempts[0].Begun, End: now}
	if r.Result != nil {
		t.End = r.Result.Stats.Ended
	}
	whole := max(t.End.Sub(t.Begin).Seconds(), 1e-3)
	for i, a := range r.Attempts {
		end := t.End
		switch {
		case a.Ended != nil:
			end = *a.Ended
		case i+1 < len(r.Attempts):
			end = r.Attempts[i+1].Begun
		}
		s := span{Attempt: a, Seconds: end.Sub(a.Begun).Seconds(), Lasted: lasted(end.Sub(a.Begun))}
		s.Left = min(max(100*a.Begun.Sub(t.Begin).Seconds()/whole, 0), 100)
		s.Width = min(max(100*s.Seconds/whole, 0.4), 100-s.Left)
		switch {
		case a.How == killed:
			s.Unsure, s.Lasted = true, "at most "+s.Lasted
		case a.How == unknown:
			s.Unsure, s.Lasted = true, "–"
		}
		t.Spans = append(t.Spans, s)
	}
	return t
}

// Alt says what the line of time shows, for those who do not see it.
func (t *timeline) Alt() string {
	counts := map[string]int{}
	var order []string
	for _, s := range t.Spans {
		if counts[s.How]++; counts[s.How] == 1 {
			order = append(order, s.How)
		}
	}
	var words []string
	for _, how := range order {
		words = append(words, fmt.Sprintf("%d %s", counts[how], how))
	}
	return fmt.Sprintf("Attempts over %s: %s.", lasted(t.End.Sub(t.Begin)), strings.Join(words, ", "))
}

// lasted writes a time with no more digits than it is good for.
func lasted(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}
