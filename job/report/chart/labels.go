package chart

import (
	"cmp"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// label is the name of a line, and where the line ends.
type label struct {
	name   string
	end    plotter.XY
	colour int
}

// lineLabels writes the names of lines at their right ends, apart from each other.
type lineLabels struct {
	labels  []label
	style   text.Style
	colours palette
}

// Plot implements plot.Plotter.
func (l lineLabels) Plot(canvas draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&canvas)
	right := toX(p.X.Max)
	height := l.style.Height("0") * 1.15
	upwards := slices.SortedStableFunc(slices.Values(l.labels), func(a, b label) int { return cmp.Compare(toY(a.end.Y), toY(b.end.Y)) })
	heights := make([]vg.Length, len(upwards))
	for i, of := range upwards {
		heights[i] = toY(of.end.Y)
	}
	spread(heights, height, canvas.Min.Y, canvas.Max.Y)
	for i, of := range upwards {
		style := l.style
		if style.Color = l.colours.series[of.colour]; of.colour >= len(okabeIto) {
			style.Color = l.colours.ink // letters in a light shade are hard to read
		}
		style.XAlign, style.YAlign = text.XLeft, text.YCenter
		canvas.FillText(style, vg.Point{X: right + vg.Points(5), Y: heights[i]}, of.name)
		if x := toX(of.end.X); right-x > vg.Points(8) { // a thin line from an end that lies further left
			thin := draw.LineStyle{Color: l.colours.grid, Width: vg.Points(0.5)}
			canvas.StrokeLine2(thin, x, toY(of.end.Y), right+vg.Points(3), heights[i])
		}
	}
}

// spread moves heights, which ascend, apart until no two are nearer than gap, and keeps them
// between bottom and top.
func spread(heights []vg.Length, gap, bottom, top vg.Length) {
	for i := range heights {
		heights[i] = max(heights[i], bottom)
		bottom = heights[i] + gap
	}
	for i := range slices.Backward(heights) {
		heights[i] = min(heights[i], top)
		top = heights[i] - gap
	}
}

// fontMargin is how much wider than the font that measures a name a reader's own font may be: the
// page is drawn in the latter. DejaVu Sans is 16 % wider than Liberation Sans.
const fontMargin = 1.18

// GlyphBoxes implements plot.GlyphBoxer: it keeps room for the names.
func (l lineLabels) GlyphBoxes(p *plot.Plot) []plot.GlyphBox {
	var boxes []plot.GlyphBox
	for _, of := range l.labels {
		width := fontMargin*l.style.Width(of.name) + vg.Points(6)
		boxes = append(boxes, plot.GlyphBox{X: 1, Y: p.Y.Norm(of.end.Y), Rectangle: vg.Rectangle{Max: vg.Point{X: width}}})
	}
	return boxes
}
