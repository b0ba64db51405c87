package report

import (
	"cmp"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// end is where a line ends, and its name is written.
type end struct {
	name   string
	at     plotter.XY
	colour int
}

// endLabels writes the names of lines at their right ends, apart from each other.
type endLabels struct {
	ends    []end
	style   text.Style
	colours palette
}

// Plot is gonum's way to paint.
func (l endLabels) Plot(canvas draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&canvas)
	height := l.style.Height("0") * 1.15
	places := make([]vg.Length, len(l.ends))
	order := make([]int, len(l.ends))
	for i, e := range l.ends {
		places[i], order[i] = toY(e.at.Y), i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(places[a], places[b]) })
	spread(places, order, height, canvas.Min.Y, canvas.Max.Y)
	for i, e := range l.ends {
		style := l.style
		if style.Color = l.colours.series[e.colour]; e.colour >= len(okabeIto) {
			style.Color = l.colours.ink // the weaker of one colour are no letters
		}
		style.XAlign, style.YAlign = text.XLeft, text.YCenter
		canvas.FillText(style, vg.Point{X: toX(p.X.Max) + vg.Points(5), Y: places[i]}, e.name)
		if far := toX(e.at.X); toX(p.X.Max)-far > vg.Points(8) { // a thread from a line that ends early
			canvas.StrokeLine2(draw.LineStyle{Color: l.colours.grid, Width: vg.Points(0.5)}, far, toY(e.at.Y), toX(p.X.Max)+vg.Points(3), places[i])
		}
	}
}

// spread pushes places apart, in order of height, until no two are nearer than gap, and keeps them between the ends.
func spread(places []vg.Length, order []int, gap, bottom, top vg.Length) {
	for n, i := range order {
		floor := bottom
		if n > 0 {
			floor = places[order[n-1]] + gap
		}
		places[i] = max(places[i], floor)
	}
	ceiling := top
	for _, i := range slices.Backward(order) {
		places[i] = min(places[i], ceiling)
		ceiling = places[i] - gap
	}
}

// GlyphBoxes keeps room for the names.
func (l endLabels) GlyphBoxes(p *plot.Plot) []plot.GlyphBox {
	var boxes []plot.GlyphBox
	for _, e := range l.ends {
		boxes = append(boxes, plot.GlyphBox{X: 1, Y: p.Y.Norm(e.at.Y), Rectangle: vg.Rectangle{Max: vg.Point{X: l.style.Width(e.name) + vg.Points(6)}}})
	}
	return boxes
}
