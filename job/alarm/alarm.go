package alarm

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
)

// State is what the judge remembers. It travels in every checkpoint: a restart neither repeats an alarm nor misses one.
type State struct {
	Count   int        `json:"count"`             // alarms so far
	Ringing []string   `json:"ringing,omitempty"` // states that have been told and last, sorted
	Skips   []int64    `json:"skips,omitempty"`   // updates among the last skipWindow that were skipped
	Settled []int64    `json:"settled,omitempty"` // updates by pathway at the first line after the warm-up
	Judged  int64      `json:"judged"`            // step of the newest line of health that was judged
	RMS     []*float64 `json:"rms,omitempty"`     // of that line, once the warm-up was over
	Ranks   []float64  `json:"ranks,omitempty"`   // best of each depth, after the warm-up
	Top1    float64    `json:"top1"`              // best of the online probe, after the warm-up
}

// reading is one figure held against its limit. Between bad and well a state stays what it was.
type reading struct {
	depth, to *int
	value     *float64 // nil: not finite
	limit     float64
	excess    float64 // the larger, the worse
	bad, well bool
}

// atLeast reads a figure that must not fall below a limit.
func atLeast(limit float64, depth *int, value *float64) reading {
	if value == nil {
		return reading{depth: depth, limit: limit, excess: math.Inf(1), bad: true}
	}
	return reading{depth: depth, value: value, limit: limit, excess: -*value, bad: *value < limit, well: *value > limit*(1+wellAgain)}
}

// above is a figure that must not be large; what is not finite is.
func above(value *float64) float64 {
	if value == nil {
		return math.Inf(1)
	}
	return *value
}

func figure(value *float64) string {
	if value == nil {
		return "no finite number"
	}
	return settings.FormatNumber(*value)
}

// ring takes note of the readings of one kind. When states are bad that were not before, it returns one alarm for all of
// them, which shows the worst.
func (g Rules) ring(kind string, step int64, all []reading, tell func(reading) string) []record.Alarm {
	m := g.memory
	var worst *reading
	var depths []string
	for i, r := range all {
		state := kind
		if r.depth != nil {
			state = fmt.Sprint(kind, " ", *r.depth)
		}
		at, rings := slices.BinarySearch(m.Ringing, state)
		switch {
		case rings && r.well:
			m.Ringing = slices.Delete(m.Ringing, at, at+1)
		case !rings && r.bad:
			m.Ringing = slices.Insert(m.Ringing, at, state)
			if worst == nil || r.excess > worst.excess {
				worst = &all[i]
			}
			if r.depth != nil {
				depths = append(depths, fmt.Sprint(*r.depth))
			}
		}
	}
	if worst == nil {
		return nil
	}
	m.Count++
	text := tell(*worst)
	if len(depths) > 1 {
		text += "; depths " + strings.Join(depths, ", ") + " are out of bounds"
	}
	return []record.Alarm{{
		Step: step, Epoch: float64(step) / float64(g.perEpoch), Alarm: kind, Depth: worst.depth, To: worst.to, Value: worst.value, Limit: worst.limit, Text: text,
	}}
}
