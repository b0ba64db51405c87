package report

import (
	"math"
	"strconv"

	"gonum.org/v1/plot"
)

// fewTicks labels an axis at round figures, three to seven of them.
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

// Ticks is gonum's way to ask.
func (t fewTicks) Ticks(low, high float64) []plot.Tick {
	step := roundStep(low, high)
	if t.whole {
		step = max(step, 1)
	}
	digits := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	var ticks []plot.Tick
	for i := math.Ceil(low/step - 1e-9); i*step <= high+step*1e-9; i++ {
		ticks = append(ticks, plot.Tick{Value: min(max(i*step, low), high), // gonum keeps no room for a label beyond the axis, be it by a last bit
			Label: strconv.FormatFloat(i*step+0, 'f', digits, 64)}) // +0: no -0
	}
	return ticks
}
