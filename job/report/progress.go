package report

import (
	"fmt"
	"time"
)

// Progress is how far a run in progress is: the head of its page, which a browser asks for again
// and again.
type Progress struct {
	Doing       string        // what the run does now, in words
	Done, Total int64         // updates of the phase that it is in; 0: it is in none
	Remaining   time.Duration // of the phase, at its mean speed so far; 0: not known yet
	Idle        time.Duration // since the last progress
}

// RefreshSeconds is the interval at which the page refreshes itself.
func (Progress) RefreshSeconds() int { return 15 }

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
