package alarm

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
)

// reading is one value against its limit. If it is neither bad nor good, a rule that fires goes on
// firing and one that does not stays silent.
type reading struct {
	depth, to *int
	value     *float64 // nil: not finite
	limit     float64
	excess    float64 // orders bad readings: the larger, the worse
	bad, good bool
}

// atLeast is the reading of a value that must not fall below a limit.
func atLeast(limit float64, depth *int, value *float64) reading {
	x := math.Inf(-1)
	if value != nil {
		x = *value
	}
	return reading{
		depth: depth, value: value, limit: limit, excess: -x,
		bad: x < limit, good: x > limit*(1+hysteresis),
	}
}

// atMost is the reading of a value that must not rise above a limit.
func atMost(limit float64, depth, to *int, value *float64) reading {
	x := math.Inf(1)
	if value != nil {
		x = *value
	}
	return reading{
		depth: depth, to: to, value: value, limit: limit, excess: x / limit,
		bad: x > limit, good: x < limit*(1-hysteresis),
	}
}

// format writes a value for an alarm's text.
func format(value *float64) string {
	if value == nil {
		return "no finite number"
	}
	return settings.FormatNumber(*value)
}

// fire remembers the readings of one kind, of which each depth fires and recovers by itself. If
// some are bad that were not firing, it returns one alarm for all of them, which shows the worst.
func (r Rules) fire(kind string, step int64, all []reading, text func(worst reading) string) []record.Alarm {
	s := r.state
	var worst *reading
	var depths []string
	for i, one := range all {
		name := kind
		if one.depth != nil {
			name = fmt.Sprint(kind, " ", *one.depth)
		}
		at, firing := slices.BinarySearch(s.Firing, name)
		switch {
		case firing && one.good:
			s.Firing = slices.Delete(s.Firing, at, at+1)
		case !firing && one.bad:
			s.Firing = slices.Insert(s.Firing, at, name)
			if worst == nil || one.excess > worst.excess {
				worst = &all[i]
			}
			if one.depth != nil {
				depths = append(depths, fmt.Sprint(*one.depth))
			}
		}
	}
	if worst == nil {
		return nil
	}
	s.Count++
	message := text(*worst)
	if len(depths) > 1 {
		message += "; depths " + strings.Join(depths, ", ") + " are out of bounds"
	}
	return []record.Alarm{{
		Step: step, Epoch: float64(step) / float64(r.perEpoch), Alarm: kind,
		Depth: worst.depth, To: worst.to, Value: worst.value, Limit: worst.limit, Text: message,
	}}
}
