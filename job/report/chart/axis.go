package chart

import (
	"math"
	"strconv"

	"gonum.org/v1/plot"
)

// fewTicks labels an axis at round numbers, three to seven of them.
type fewTicks struct{ whole bool } // whole numbers only

// roundStep between ticks is 1, 2 or 5 times a power of ten.
func roundStep(low, high float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10((high-low)/4)))
	for _, times := range []float64{10, 5, 2} {
		if (high-low)/(step*times) >= 3 {
			return step * times
		}
	}
	return step
}

// narrow reports whether float64 has no round numbers between two values, or no room for ticks.
func narrow(low, high float64) bool {
	return !(high-low >= max(1e-12, 1e-9*max(math.Abs(low), math.Abs(high))))
}

// maxTicks is more than any axis has whose step is round: a bound on the loop, whatever the values
// are.
const maxTicks = 20

// Ticks implements plot.Ticker.
func (t fewTicks) Ticks(low, high float64) []plot.Tick {
	if narrow(low, high) || math.IsInf(high-low, 0) {
		return nil
	}
	step := roundStep(low, high)
	if t.whole {
		step = max(step, 1)
	}
	digits := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	first := math.Ceil(low/step - 1e-9)
	var ticks []plot.Tick
	for i := range maxTicks {
		value := (first + float64(i)) * step
		if value > high+step*1e-9 {
			break
		}
		ticks = append(ticks, plot.Tick{
			// Gonum has no room for the label of a tick beyond the axis, even by one bit.
			Value: min(max(value, low), high),
			Label: strconv.FormatFloat(value+0, 'f', digits, 64), // +0: no -0
		})
	}
	return ticks
}
