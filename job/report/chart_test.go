package report

import (
	"bytes"
	"image/png"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// TestSpread: names of lines that end at the same height stand apart, in order, and inside the chart.
func TestSpread(t *testing.T) {
	for _, heights := range [][]vg.Length{{5, 5, 5}, {0, 1, 2, 3}, {99, 99, 100}, {50}, {0, 100}} {
		places, order := append([]vg.Length{}, heights...), make([]int, len(heights))
		for i := range order {
			order[i] = i
		}
		spread(places, order, 10, 0, 100)
		for i, p := range places {
			if p < 0 || p > 100 || i > 0 && p-places[i-1] < 10 {
				t.Errorf("%v became %v", heights, places)
			}
		}
	}
}

// TestTicks: round figures, few of them, all on the axis.
func TestTicks(t *testing.T) {
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

// TestGaps: a figure that is missing breaks the line and hides nothing; a chart without any figure is not drawn.
func TestGaps(t *testing.T) {
	nan := math.NaN()
	xys := plotter.XYs{{X: 0, Y: nan}, {X: 1, Y: 2}, {X: 2, Y: nan}, {X: 3, Y: 4}, {X: 4, Y: 5}}
	if got := unbroken(xys); len(got) != 2 || len(got[0]) != 1 || len(got[1]) != 2 {
		t.Errorf("pieces %v", got)
	}
	c := chart{Title: "Loss", X: "epoch", Y: "loss", lines: []line{{"a", xys, 0, 0}, {"b", plotter.XYs{{X: 0, Y: nan}}, 9, 0}}}.described()
	if !strings.Contains(c.Alt, "a from 2 at 1 to 5 at 4") {
		t.Errorf("described as %q", c.Alt)
	}
	svg, err := c.SVG()
	if err != nil || !strings.Contains(string(svg), "var(--s0)") {
		t.Errorf("svg %v: %.200s", err, svg)
	}
	if svg, err := (chart{lines: c.lines[1:]}).SVG(); svg != "" || err != nil {
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

// TestThinning keeps the newest point and the order.
func TestThinning(t *testing.T) {
	xys := points(10*mostPoints+7, func(i int) (float64, float64) { return float64(i), 0 })
	if len(xys) > mostPoints+1 || xys[len(xys)-1].X != 10*mostPoints+6 {
		t.Errorf("%d points, the last %g", len(xys), xys[len(xys)-1].X)
	}
	for i := 1; i < len(xys); i++ {
		if xys[i].X <= xys[i-1].X {
			t.Fatalf("out of order at %d", i)
		}
	}
}

// TestShade: the scale begins dark and ends light, and the letters on it stand out.
func TestShade(t *testing.T) {
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
