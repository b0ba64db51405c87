package chart

import (
	"encoding/json"
	"fmt"
	"html/template"
	"image/color"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
)

// HeatMap is a table of numbers whose cells are coloured by value.
type HeatMap struct {
	Name             string // unique in the page
	Title            string
	Caption          string   // what the numbers are
	RowName, ColName string   // what the headings are
	Rows, Columns    []string // headings
	Low, High        float64  // ends of the scale; values beyond take the colour of the end
	Values           [][]*float64
	Frames           []Frame // the table over time, the newest last; fewer than two: there is no slider
}

// Frame is a table at one time.
type Frame struct {
	Epoch float64      `json:"epoch"`
	Cells [][]*float64 `json:"cells"`
}

// ByDepth is a heat map of a table [source depth][target depth], on a scale from 0 to 1.
func ByDepth(depths []int, table [][]*float64) *HeatMap {
	h := &HeatMap{RowName: "source", ColName: "target", High: 1, Values: table}
	for _, d := range depths {
		h.Rows = append(h.Rows, fmt.Sprint(d))
	}
	h.Columns = h.Rows
	return h
}

// Fit sets the scale to the values. Frames are shown on the same scale and may lie beyond it: a
// scale for all frames would show the newest in nearly one colour.
func (h *HeatMap) Fit() {
	h.Low, h.High = math.Inf(1), math.Inf(-1)
	for _, row := range h.Values {
		for _, v := range row {
			if v != nil {
				h.Low, h.High = min(h.Low, *v), max(h.High, *v)
			}
		}
	}
	if h.Low > h.High {
		h.Low, h.High = 0, 1 // there is no value
	}
}

// Cell is a cell in the page.
type Cell struct {
	Text  string
	Style template.CSS
}

// Cells is the table for the page.
func (h *HeatMap) Cells() [][]Cell {
	var all [][]Cell
	for _, row := range h.Values {
		var cells []Cell
		for _, v := range row {
			if v == nil {
				cells = append(cells, Cell{"–", ""})
				continue
			}
			c, dark := shade(h.share(*v))
			letters := "#fff"
			if dark {
				letters = "#000"
			}
			css := fmt.Sprintf("background:#%02x%02x%02x;color:%s", c.R, c.G, c.B, letters)
			cells = append(cells, Cell{fmt.Sprintf("%.2f", *v), template.CSS(css)})
		}
		all = append(all, cells)
	}
	return all
}

// LastFrame is the index of the newest frame.
func (h *HeatMap) LastFrame() int { return len(h.Frames) - 1 }

// JSON is the table over time for the page's script.
func (h *HeatMap) JSON() (template.JS, error) {
	text, err := json.Marshal(struct {
		Low    float64 `json:"low"`
		High   float64 `json:"high"`
		Frames []Frame `json:"frames"`
	}{h.Low, h.High, h.Frames})
	return template.JS(text), err
}

// PNG writes the table as a picture.
func (h *HeatMap) PNG(w io.Writer, title string) error {
	p := plot.New()
	p.Title.Text, p.Title.Padding = title, vg.Points(6)
	p.X.Label.Text, p.Y.Label.Text = h.ColName, h.RowName
	p.X.Tick.Marker, p.Y.Tick.Marker = headings(h.Columns, false), headings(h.Rows, true)
	for _, style := range []*text.Style{
		&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label,
	} {
		style.Font.Variant = "Sans"
	}
	p.X.Width, p.Y.Width, p.X.Tick.Length, p.Y.Tick.Length = 0, 0, 0, 0
	p.X.Min, p.X.Max = -.5, float64(len(h.Columns))-.5
	p.Y.Min, p.Y.Max = -.5, float64(len(h.Rows))-.5
	for i, row := range h.Values {
		for k, v := range row {
			if v == nil {
				continue
			}
			if err := h.addCell(p, float64(k), float64(len(h.Values)-1-i), *v); err != nil {
				return err
			}
		}
	}
	return writePNG(w, p, 400, 400, 144)
}

// addCell draws a coloured square with its value in it.
func (h *HeatMap) addCell(p *plot.Plot, x, y, v float64) error {
	square, err := plotter.NewPolygon(plotter.XYs{
		{X: x - .5, Y: y - .5}, {X: x + .5, Y: y - .5}, {X: x + .5, Y: y + .5}, {X: x - .5, Y: y + .5}})
	if err != nil {
		return err
	}
	label, err := plotter.NewLabels(plotter.XYLabels{
		XYs: plotter.XYs{{X: x, Y: y}}, Labels: []string{fmt.Sprintf("%.2f", v)},
	})
	if err != nil {
		return err
	}
	c, dark := shade(h.share(v))
	square.Color, square.LineStyle.Width = c, 0
	style := &label.TextStyle[0]
	style.Color, style.Font.Variant, style.Font.Size = color.White, "Sans", vg.Points(9)
	if dark {
		style.Color = color.Black
	}
	style.XAlign, style.YAlign = text.XCenter, text.YCenter
	p.Add(square, label)
	return nil
}

// headings are the ticks of an axis; down has the first one at the top.
func headings(words []string, down bool) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for i, w := range words {
		at := float64(i)
		if down {
			at = float64(len(words) - 1 - i)
		}
		ticks = append(ticks, plot.Tick{Value: at, Label: w})
	}
	return ticks
}

// share is where a value lies on the scale: 0 to 1, or beyond. It is 0.5 if float64 cannot tell.
func (h *HeatMap) share(v float64) float64 {
	share := (v - h.Low) / (h.High - h.Low)
	if math.IsNaN(share) {
		return 0.5
	}
	return share
}

// cividis runs from dark blue to yellow, with a lightness that rises evenly, for all kinds of
// colour vision (Nuñez, Anderton and Renslow, 2018).
var cividis = []color.RGBA{
	{0x00, 0x22, 0x4e, 255}, {0x12, 0x35, 0x70, 255}, {0x3b, 0x49, 0x6c, 255}, {0x57, 0x5d, 0x6d, 255}, {0x70, 0x71, 0x73, 255},
	{0x8a, 0x86, 0x78, 255}, {0xa5, 0x9c, 0x74, 255}, {0xc3, 0xb3, 0x69, 255}, {0xe1, 0xcc, 0x55, 255}, {0xfe, 0xe8, 0x38, 255},
}

// darkLetters is the share above which black letters stand out more than white ones. There both
// have a contrast of 4.5 to 1, as WCAG asks for.
const darkLetters = 0.465

// shade is the colour of a share from 0 to 1, and whether letters on it are dark.
func shade(share float64) (c color.RGBA, dark bool) {
	place := min(max(share, 0), 1) * float64(len(cividis)-1)
	i := min(int(place), len(cividis)-2)
	mix := func(a, b uint8) uint8 {
		return uint8(math.Round(float64(a) + (place-float64(i))*(float64(b)-float64(a))))
	}
	a, b := cividis[i], cividis[i+1]
	return color.RGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 255}, share > darkLetters
}
