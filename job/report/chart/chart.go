// Package chart draws line charts and heat maps: as SVG for a page, in the page's own light or dark
// colours, and as PNG. It knows numbers and their names, not what they are of.
//
//	chart.go    a chart of lines
//	axis.go     the ticks of an axis
//	labels.go   the names at the ends of lines
//	palette.go  colours and dashes
//	svg.go      a chart as part of a page
//	heatmap.go  a table of numbers, coloured by value
package chart

import (
	"cmp"
	"fmt"
	"image/color"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Chart is a picture of lines.
type Chart struct {
	Title string
	Note  string // what a reader must know to read it right
	X, Y  Axis
	Lines []Line
	Wide  bool // room for lines with long names
	Dense bool // so many lines that nobody can follow one by one: they are thinner
}

// Axis is one axis of a chart.
type Axis struct {
	Label    string // with its unit
	FromZero bool   // it begins at zero, or lower if a line does
	Whole    bool   // its ticks are whole numbers
}

// Line is one line of a chart. Its name stands at its right end, unless it is empty.
type Line struct {
	Name   string
	Points []Point
	Colour int // see Colours and DepthColour
	Dash   int
}

// Point is a point of a line. A coordinate that is NaN, or beyond what a chart can draw, is a gap.
type Point struct{ X, Y float64 }

// maxPoints of a line: more cannot be told apart at the width of a page.
const maxPoints = 150

// Thinned makes the points of a line of n values. If these are more than can be told apart, it
// takes them evenly spaced; the last one always stays.
func Thinned(n int, at func(i int) Point) []Point {
	stride := max(1, (n+maxPoints-1)/maxPoints)
	var points []Point
	for i := n - 1; i >= 0; i -= stride {
		points = append(points, at(i))
	}
	slices.Reverse(points)
	return points
}

// pieces cuts a line at its gaps.
func (l Line) pieces() []plotter.XYs {
	const maxDrawn = 1e15 // beyond, gonum's arithmetic overflows or loses the steps between ticks
	var all []plotter.XYs
	broken := true
	for _, p := range l.Points {
		if !(math.Abs(p.X) <= maxDrawn && math.Abs(p.Y) <= maxDrawn) { // NaN too
			broken = true
			continue
		}
		if broken {
			all, broken = append(all, nil), false
		}
		last := len(all) - 1
		all[last] = append(all[last], plotter.XY(p))
	}
	return all
}

// Empty reports whether there is nothing to see.
func (c Chart) Empty() bool {
	return !slices.ContainsFunc(c.Lines, func(l Line) bool { return len(l.pieces()) > 0 })
}

// Alt says in words what the chart shows, for those who do not see it.
func (c Chart) Alt() string {
	var words []string
	for _, l := range c.Lines {
		pieces := l.pieces()
		if len(pieces) == 0 {
			continue
		}
		end := pieces[len(pieces)-1]
		first, last := pieces[0][0], end[len(end)-1]
		name := cmp.Or(l.Name, "a line")
		if l.Colour >= len(okabeIto) {
			name = "depth " + name
		}
		words = append(words, fmt.Sprintf("%s from %.4g at %.4g to %.4g at %.4g", name, first.Y, first.X, last.Y, last.X))
	}
	const most = 12
	if rest := len(words) - most; rest > 0 {
		words = append(words[:most], fmt.Sprintf("and %d more", rest))
	}
	return fmt.Sprintf("%s. %s over %s: %s.", c.Title, c.Y.Label, c.X.Label, strings.Join(words, "; "))
}

// size of a chart in points, and of its letters: on a phone, which is 340 points wide, they are ten
// points high or more.
type size struct{ width, height, letters vg.Length }

func (c Chart) size() size {
	if c.Wide {
		return size{390, 250, 11.5}
	}
	return size{330, 215, 11}
}

// plot lays the chart out.
func (c Chart) plot(colours palette) (*plot.Plot, error) {
	p := plot.New()
	p.BackgroundColor = color.Transparent
	style(&p.X, c.X, colours, c.size().letters)
	style(&p.Y, c.Y, colours, c.size().letters)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = nil, colours.grid
	p.Add(grid)
	labels := map[string]label{}
	for _, l := range c.Lines {
		for _, piece := range l.pieces() {
			if err := c.add(p, piece, l, colours); err != nil {
				return nil, err
			}
			end := piece[len(piece)-1]
			if at, ok := labels[l.Name]; l.Name != "" && (!ok || at.end.X <= end.X) {
				labels[l.Name] = label{l.Name, end, l.Colour}
			}
		}
	}
	if len(labels) > 0 {
		sorted := slices.SortedFunc(maps.Values(labels), func(a, b label) int { return strings.Compare(a.name, b.name) })
		p.Add(lineLabels{sorted, p.X.Tick.Label, colours})
	}
	c.setRanges(p)
	return p, nil
}

// style sets what does not depend on the values.
func style(of *plot.Axis, axis Axis, colours palette, letters vg.Length) {
	of.Label.Text = axis.Label
	of.Label.TextStyle.Color, of.Tick.Label.Color = colours.quiet, colours.quiet
	of.Label.TextStyle.Font.Variant, of.Tick.Label.Font.Variant = "Sans", "Sans"
	of.Label.TextStyle.Font.Size, of.Tick.Label.Font.Size = letters, letters
	of.Color, of.Tick.Color = colours.grid, colours.grid
	of.Padding = vg.Points(3)
	of.Tick.Marker = fewTicks{axis.Whole}
}

// add draws one piece of a line, with a dot at each point if there are few.
func (c Chart) add(p *plot.Plot, piece plotter.XYs, l Line, colours palette) error {
	drawn, err := plotter.NewLine(piece)
	if err != nil {
		return err
	}
	drawn.LineStyle = colours.line(l)
	if c.Dense {
		drawn.Width = vg.Points(0.7)
	}
	p.Add(drawn)
	alone := len(piece) == 1
	if !alone && (len(l.Points) > 14 || c.Dense) {
		return nil
	}
	dots, err := plotter.NewScatter(piece)
	if err != nil {
		return err
	}
	dots.GlyphStyle = draw.GlyphStyle{Color: colours.series[l.Colour], Radius: vg.Points(2), Shape: draw.CircleGlyph{}}
	if alone {
		dots.Radius = vg.Points(3.5) // all there is to see
	}
	p.Add(dots)
	return nil
}

// setRanges widens the axes: to zero where asked for, to more than a point, and y to round numbers.
func (c Chart) setRanges(p *plot.Plot) {
	for _, of := range []struct {
		axis     *plot.Axis
		fromZero bool
	}{{&p.X, c.X.FromZero}, {&p.Y, c.Y.FromZero}} {
		a := of.axis
		if of.fromZero {
			a.Min = min(a.Min, 0)
		}
		if narrow(a.Min, a.Max) {
			by := max(0.5, 1e-6*math.Abs(a.Max))
			if a.Max += by; a.Min != 0 || !of.fromZero {
				a.Min -= by
			}
		}
	}
	for range 2 { // a wider axis may have wider steps
		step := roundStep(p.Y.Min, p.Y.Max)
		p.Y.Min, p.Y.Max = math.Floor(p.Y.Min/step+1e-9)*step, math.Ceil(p.Y.Max/step-1e-9)*step
	}
}

// PNG writes the chart as a picture, with its title.
func (c Chart) PNG(w io.Writer) error {
	p, err := c.plot(onPaper())
	if err != nil {
		return err
	}
	p.BackgroundColor = color.White
	p.Title.Text = c.Title
	p.Title.TextStyle.Font.Variant = "Sans"
	p.Title.TextStyle.Font.Size = vg.Points(13)
	p.Title.Padding = vg.Points(6)
	return writePNG(w, p, c.size().width, c.size().height+24, 240)
}

func writePNG(w io.Writer, p *plot.Plot, width, height vg.Length, dpi int) error {
	canvas := vgimg.PngCanvas{Canvas: vgimg.NewWith(
		vgimg.UseWH(width, height), vgimg.UseDPI(dpi), vgimg.UseBackgroundColor(color.White))}
	margin := vg.Points(8)
	p.Draw(draw.Crop(draw.New(canvas), margin, -margin, margin, -margin))
	_, err := canvas.WriteTo(w)
	return err
}
