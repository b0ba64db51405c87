package report

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"image/color"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// chart is a picture of lines: in the page, where the colours are the reader's light or dark ones, and as a file.
type chart struct {
	name  string // of its file, when it has one
	Title string
	Note  string // what a reader must know to read it right
	X, Y  string // axes, with units
	Alt   string // what it shows, with figures, for those who do not see it
	lines []line
	marks []float64 // values of y with a quiet line across, such as a limit
	low   *float64  // least end of the y axis; nil: as the lines need
	wide  bool      // for lines with long names
	crowd bool      // of lines that nobody can follow one by one
}

// line is one line of a chart, with its name at its right end.
type line struct {
	name   string // empty: none is written
	points plotter.XYs
	colour int // of the palette's
	dash   int
}

// look is how large a chart is, in points, and its letters: on a phone, which is 340 points wide, they are ten points high or more.
type look struct{ width, height, letters vg.Length }

func (c chart) look() look {
	if c.wide {
		return look{390, 250, 11.5}
	}
	return look{330, 215, 11}
}

// plot lays the chart out.
func (c chart) plot(colours palette) (*plot.Plot, error) {
	p := plot.New()
	p.BackgroundColor = color.Transparent
	p.X.Label.Text, p.Y.Label.Text = c.X, c.Y
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Color, axis.Tick.Label.Color = colours.quiet, colours.quiet
		axis.Label.TextStyle.Font.Variant, axis.Tick.Label.Font.Variant = "Sans", "Sans"
		axis.Label.TextStyle.Font.Size, axis.Tick.Label.Font.Size = c.look().letters, c.look().letters
		axis.Color, axis.Tick.Color = colours.grid, colours.grid
		axis.Padding = vg.Points(3)
		axis.Tick.Marker = fewTicks{whole: axis.Label.Text == "depth"}
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = nil, colours.grid
	p.Add(grid)
	for _, y := range c.marks {
		mark := plotter.NewFunction(func(float64) float64 { return y })
		mark.LineStyle = draw.LineStyle{Color: colours.quiet, Width: vg.Points(0.8), Dashes: dashes[1]}
		mark.Samples = 2
		p.Add(mark)
	}
	var ends []end
	for _, l := range c.lines {
		for _, run := range unbroken(l.points) {
			drawn, err := plotter.NewLine(run)
			if err != nil {
				return nil, err
			}
			drawn.LineStyle = colours.style(l)
			if c.crowd {
				drawn.Width = vg.Points(0.7)
			}
			p.Add(drawn)
			if len(run) == 1 || len(l.points) <= 14 && !c.crowd {
				dots, err := plotter.NewScatter(run)
				if err != nil {
					return nil, err
				}
				dots.GlyphStyle = draw.GlyphStyle{Color: colours.series[l.colour], Radius: vg.Points(2), Shape: draw.CircleGlyph{}}
				if len(run) == 1 {
					dots.Radius = vg.Points(3.5) // all there is to see
				}
				p.Add(dots)
			}
			ends = append(ends, end{l.name, run[len(run)-1], l.colour})
		}
	}
	// Of the pieces of a line the last one carries its name.
	slices.SortStableFunc(ends, func(a, b end) int { return cmp.Compare(a.at.X, b.at.X) })
	named := map[string]end{}
	for _, e := range ends {
		if e.name != "" {
			named[e.name] = e
		}
	}
	labels := endLabels{style: p.X.Tick.Label, colours: colours}
	for _, e := range named {
		labels.ends = append(labels.ends, e)
	}
	slices.SortFunc(labels.ends, func(a, b end) int { return strings.Compare(a.name, b.name) })
	if len(labels.ends) > 0 {
		p.Add(labels)
	}
	if c.low != nil {
		p.Y.Min = min(p.Y.Min, *c.low)
	}
	if c.X == "epoch" {
		p.X.Min = min(p.X.Min, 0)
	}
	if p.Y.Max-p.Y.Min < 1e-12 {
		p.Y.Min, p.Y.Max = p.Y.Min-0.5, p.Y.Max+0.5
	}
	for range 2 { // a wider axis may have wider steps
		step := roundStep(p.Y.Min, p.Y.Max)
		p.Y.Min, p.Y.Max = math.Floor(p.Y.Min/step+1e-9)*step, math.Ceil(p.Y.Max/step-1e-9)*step
	}
	if p.X.Max-p.X.Min < 1e-12 && c.X == "epoch" {
		p.X.Max++
	} else if p.X.Max-p.X.Min < 1e-12 {
		p.X.Min, p.X.Max = p.X.Min-0.5, p.X.Max+0.5
	}
	return p, nil
}

// unbroken cuts a line where a figure is missing.
func unbroken(points plotter.XYs) []plotter.XYs {
	var pieces []plotter.XYs
	var piece plotter.XYs
	for _, p := range points {
		if math.IsNaN(p.X) || math.IsNaN(p.Y) || math.IsInf(p.Y, 0) {
			if len(piece) > 0 {
				pieces = append(pieces, piece)
			}
			piece = nil
			continue
		}
		piece = append(piece, p)
	}
	if len(piece) > 0 {
		pieces = append(pieces, piece)
	}
	return pieces
}

// drawable says whether there is anything to see.
func (c chart) drawable() bool {
	for _, l := range c.lines {
		if len(unbroken(l.points)) > 0 {
			return true
		}
	}
	return false
}

// PNG writes the chart as a picture, with its title.
func (c chart) PNG(w io.Writer) error {
	p, err := c.plot(onPaper())
	if err != nil {
		return err
	}
	p.BackgroundColor = color.White
	p.Title.Text = c.Title
	p.Title.TextStyle.Font.Variant = "Sans"
	p.Title.TextStyle.Font.Size = vg.Points(13)
	p.Title.Padding = vg.Points(6)
	canvas := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(c.look().width, c.look().height+24), vgimg.UseDPI(240), vgimg.UseBackgroundColor(color.White))}
	p.Draw(draw.Crop(draw.New(canvas), vg.Points(8), -vg.Points(8), vg.Points(8), -vg.Points(8)))
	_, err = canvas.WriteTo(w)
	return err
}

// SVG is the chart for the page, in the page's colours; empty when there is nothing to see.
func (c chart) SVG() (template.HTML, error) {
	if !c.drawable() {
		return "", nil
	}
	p, err := c.plot(inPage())
	if err != nil {
		return "", err
	}
	canvas := vgsvg.New(c.look().width, c.look().height)
	p.Draw(draw.Crop(draw.New(canvas), 0, -2, 0, -c.look().letters/2)) // room for half a dot and half a letter beyond the lines
	var text bytes.Buffer
	if _, err := canvas.WriteTo(&text); err != nil {
		return "", err
	}
	return themed(text.String(), c.Alt), nil
}

var (
	svgHead = regexp.MustCompile(`(?s)^.*?<svg[^>]*?viewBox="([^"]+)"[^>]*>`)
	svgFont = regexp.MustCompile(`font-family:[^;"]*;?`)
)

// themed makes gonum's SVG part of the page: it takes the page's width, font and colours, and says what it shows.
func themed(svg, alt string) template.HTML {
	svg = svgHead.ReplaceAllString(svg, `<svg viewBox="$1" role="img" aria-label="`+template.HTMLEscapeString(alt)+`">`)
	svg = svgFont.ReplaceAllString(svg, "")
	svg = strings.NewReplacer("#010203", "var(--ink)", "#010204", "var(--quiet)", "#010205", "var(--grid)").Replace(svg)
	for i := range okabeIto {
		svg = strings.ReplaceAll(svg, fmt.Sprintf("#0103%02X", i), fmt.Sprintf("var(--s%d)", i))
	}
	for i := range depthSteps {
		svg = strings.ReplaceAll(svg, fmt.Sprintf("#0104%02X", i), fmt.Sprintf("color-mix(in srgb,var(--deep) %d%%,var(--shallow))", 100*i/(depthSteps-1)))
	}
	return template.HTML(svg)
}
