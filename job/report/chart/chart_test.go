package chart

import (
	"bytes"
	"image/png"
	"io"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"
)

// TestNamesOfLinesStandApart, in order, and inside the chart.
func TestNamesOfLinesStandApart(t *testing.T) {
	for _, heights := range [][]vg.Length{{5, 5, 5}, {0, 1, 2, 3}, {99, 99, 100}, {50}, {0, 100}} {
		places := append([]vg.Length{}, heights...)
		spread(places, 10, 0, 100)
		for i, p := range places {
			if p < 0 || p > 100 || i > 0 && p-places[i-1] < 10 {
				t.Errorf("%v became %v", heights, places)
			}
		}
	}
}

// TestTicksAreRoundAndFew, and all on the axis.
func TestTicksAreRoundAndFew(t *testing.T) {
	for _, axis := range [][2]float64{{0, 1}, {-3, 200}, {0.001, 0.0047}, {64, 71}, {0, 1e6}, {0.5, 0.50001}} {
		ticks := fewTicks{}.Ticks(axis[0], axis[1])
		if len(ticks) < 3 || len(ticks) > 7 {
			t.Errorf("%v has %d ticks", axis, len(ticks))
		}
		for _, tick := range ticks {
			span := axis[1] - axis[0]
			if tick.Value < axis[0]-1e-6*span || tick.Value > axis[1]+1e-6*span || tick.Label == "-0" {
				t.Errorf("%v has a tick %q at %g", axis, tick.Label, tick.Value)
			}
		}
	}
	for _, tick := range (fewTicks{whole: true}).Ticks(0, 3) {
		if strings.Contains(tick.Label, ".") {
			t.Errorf("depth %s", tick.Label)
		}
	}
}

// TestNoAxisHasTooManyTicks: float64 has no room for steps between some values, and others have no
// difference.
func TestNoAxisHasTooManyTicks(t *testing.T) {
	inf := math.Inf(1)
	for _, axis := range [][2]float64{
		{1e17, 1e17 + 32}, {1e12, 1e12 + 2e-4}, {-1.7e308, 1.7e308}, {0, 5e-324}, {3, 3}, {3, 2}, {-inf, inf}, {math.NaN(), 1},
	} {
		for _, whole := range []bool{false, true} {
			if n := len(fewTicks{whole}.Ticks(axis[0], axis[1])); n > maxTicks {
				t.Errorf("%v has %d ticks", axis, n)
			}
		}
	}
}

// TestAnyValueIsDrawnOrLeftOut: no values make a picture fail, or take more than a moment.
func TestAnyValueIsDrawnOrLeftOut(t *testing.T) {
	values := []float64{0, 1, -1, 1e12, 1e12 + 1e-3, 1e14, 1e15, -1e15, 1e17, 1e17 + 16, 1e17 + 32, 1e306, -1e306, 5e-324, math.NaN(), math.Inf(1)}
	for _, x := range values {
		for _, y := range values {
			c := Chart{Y: Axis{FromZero: x > y}, Lines: []Line{{Name: "a", Points: []Point{{x, y}, {y, x}, {x, x}}}}}
			if c.Empty() {
				continue
			}
			if _, err := c.SVG(); err != nil {
				t.Errorf("%g and %g: %v", x, y, err)
			}
		}
	}
	h := HeatMap{Rows: []string{"a"}, Columns: []string{"b", "c"}, Values: [][]*float64{{new(float64), new(float64)}}}
	for _, pair := range [][2]float64{{1e306, -1e306}, {1.7e308, -1.7e308}, {0, 5e-324}, {1e17, 1e17 + 16}, {7, 7}} {
		*h.Values[0][0], *h.Values[0][1] = pair[0], pair[1]
		h.Fit()
		if n := len(h.Cells()[0]); n != 2 {
			t.Errorf("%v: %d cells", pair, n)
		}
		if err := h.PNG(io.Discard, "extremes"); err != nil {
			t.Errorf("%v: %v", pair, err)
		}
	}
}

// TestMissingValuesBreakALine and hide nothing. A chart without any value is not drawn.
func TestMissingValuesBreakALine(t *testing.T) {
	nan := math.NaN()
	a := Line{Name: "a", Points: []Point{{0, nan}, {1, 2}, {2, nan}, {3, 4}, {4, 5}}}
	if got := a.pieces(); len(got) != 2 || len(got[0]) != 1 || len(got[1]) != 2 {
		t.Errorf("pieces %v", got)
	}
	none := Line{Name: "b", Points: []Point{{0, nan}}, Colour: 9}
	c := Chart{Title: "Loss", X: Axis{Label: "epoch"}, Y: Axis{Label: "loss"}, Lines: []Line{a, none}}
	if want := "Loss. loss over epoch: a from 2 at 1 to 5 at 4."; c.Alt() != want {
		t.Errorf("described as %q, want %q", c.Alt(), want)
	}
	svg, err := c.SVG()
	if err != nil || !strings.Contains(string(svg), "var(--s0)") {
		t.Errorf("svg %v: %.200s", err, svg)
	}
	if svg, err := (Chart{Lines: c.Lines[1:]}).SVG(); svg != "" || err != nil {
		t.Errorf("a chart of nothing: %v %.80s", err, svg)
	}
	var picture bytes.Buffer
	if err := c.PNG(&picture); err != nil {
		t.Fatal(err)
	}
	if _, err := png.Decode(&picture); err != nil {
		t.Error(err)
	}
}

// TestThinningKeepsTheNewestPoint and the order.
func TestThinningKeepsTheNewestPoint(t *testing.T) {
	points := Thinned(10*maxPoints+7, func(i int) Point { return Point{X: float64(i)} })
	if len(points) > maxPoints+1 || points[len(points)-1].X != 10*maxPoints+6 {
		t.Errorf("%d points, the last %g", len(points), points[len(points)-1].X)
	}
	for i := 1; i < len(points); i++ {
		if points[i].X <= points[i-1].X {
			t.Fatalf("out of order at %d", i)
		}
	}
}

// TestLettersOnEveryShadeAreReadable: the scale begins dark and ends light, and letters stand out
// from it.
func TestLettersOnEveryShadeAreReadable(t *testing.T) {
	light := func(share float64) float64 {
		c, _ := shade(share)
		return 0.2126*float64(c.R) + 0.7152*float64(c.G) + 0.0722*float64(c.B)
	}
	for share := 0.05; share <= 1; share += 0.05 {
		if light(share) <= light(share-0.05) {
			t.Errorf("not lighter at %.2f", share)
		}
	}
	for share := 0.0; share <= 1; share += 0.01 {
		_, dark := shade(share)
		if letters := map[bool]float64{true: 0, false: 255}[dark]; math.Abs(letters-light(share)) < 95 {
			t.Errorf("letters at %.2f are hard to read", share)
		}
	}
}

// TestLettersOnEveryShadeStandOut by a contrast of 4.5 to 1, as WCAG 2 asks for and computes it.
func TestLettersOnEveryShadeStandOut(t *testing.T) {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	for i := range 1001 {
		c, dark := shade(float64(i) / 1000)
		light := 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
		contrast := 1.05 / (light + 0.05)
		if dark {
			contrast = (light + 0.05) / 0.05
		}
		if contrast < 4.5 {
			t.Errorf("share %.3f: %.2f to 1", float64(i)/1000, contrast)
		}
	}
}
