package report

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
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// heatMap is a table of figures whose cells are coloured by value: errors by source and target depth, or top-1 by alpha
// and beta.
type heatMap struct {
	Name    string // unique in the page
	Title   string
	Caption string   // what the figures are
	Rows    []string // headings
	Columns []string
	RowName string // what the rows are
	ColName string
	Low     float64
	High    float64
	Cells   [][]heatCell // the newest
	newest  [][]*float64
	Frames  []frame // over time, the newest last; fewer than two: there is nothing to slide
}

type heatCell struct {
	Text  string
	Style template.CSS
}

// frame is a table at one time.
type frame struct {
	Epoch float64      `json:"epoch"`
	Cells [][]*float64 `json:"cells"`
}

// mostFrames of a table over time.
const mostFrames = 24

// cividis runs from dark blue to yellow, with a lightness that rises evenly, for all kinds of colour vision (Nuñez, Anderton
// and Renslow, 2018).
var cividis = []color.RGBA{
	{0x00, 0x22, 0x4e, 255}, {0x12, 0x35, 0x70, 255}, {0x3b, 0x49, 0x6c, 255}, {0x57, 0x5d, 0x6d, 255}, {0x70, 0x71, 0x73, 255},
	{0x8a, 0x86, 0x78, 255}, {0xa5, 0x9c, 0x74, 255}, {0xc3, 0xb3, 0x69, 255}, {0xe1, 0xcc, 0x55, 255}, {0xfe, 0xe8, 0x38, 255},
}

// shade is the colour of a share from 0 to 1, and whether dark letters stand on it.
func shade(share float64) (c color.RGBA, dark bool) {
	place := min(max(share, 0), 1) * float64(len(cividis)-1)
	i := min(int(place), len(cividis)-2)
	mix := func(a, b uint8) uint8 {
		return uint8(math.Round(float64(a) + (place-float64(i))*(float64(b)-float64(a))))
	}
	a, b := cividis[i], cividis[i+1]
	return color.RGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 255}, share > 0.52
}

// fill colours the newest table, on a scale of its own: earlier frames are shown on the same one, and may lie beyond it. A scale of all
// frames would have one colour for what is left at the end.
func (h *heatMap) fill(cells [][]*float64, format string) {
	h.newest = cells
	h.Low, h.High = math.Inf(1), math.Inf(-1)
	for _, row := range cells {
		for _, v := range row {
			if v != nil {
				h.Low, h.High = min(h.Low, *v), max(h.High, *v)
			}
		}
	}
	if h.Low > h.High {
		h.Low, h.High = 0, 1 // nothing to colour
	}
	for _, row := range cells {
		var line []heatCell
		for _, v := range row {
			if v == nil {
				line = append(line, heatCell{"–", ""})
				continue
			}
			c, dark := shade(h.share(*v))
			letters := "#fff"
			if dark {
				letters = "#000"
			}
			line = append(line, heatCell{fmt.Sprintf(format, *v), template.CSS(fmt.Sprintf("background:#%02x%02x%02x;color:%s", c.R, c.G, c.B, letters))})
		}
		h.Cells = append(h.Cells, line)
	}
}

func (h *heatMap) share(v float64) float64 {
	if h.High <= h.Low {
		return 0.5
	}
	return (v - h.Low) / (h.High - h.Low)
}

// LastFrame is the place of the newest frame.
func (h *heatMap) LastFrame() int { return len(h.Frames) - 1 }

// JSON is the table over time for the page's script.
func (h *heatMap) JSON() (template.JS, error) {
	text, err := json.Marshal(struct {
		Low    float64 `json:"low"`
		High   float64 `json:"high"`
		Frames []frame `json:"frames"`
	}{h.Low, h.High, h.Frames})
	return template.JS(text), err
}

// table is the run's errors by source and target depth; nil while there are none.
func (r *Run) table() *heatMap {
	cells, depths := rounded(r.Table()), r.Depths()
	if len(cells) != len(depths) || len(cells) < 2 { // one cell is no map
		return nil
	}
	h := &heatMap{Name: "table-" + r.Name, Title: "Error by source and target depth",
		Caption: "Mean squared error, as last seen, of predicting the teacher's depth (column) from the student's depth (row). Predicting zero scores 1.",
		RowName: "source", ColName: "target"}
	for _, d := range depths {
		h.Rows = append(h.Rows, fmt.Sprint(d))
	}
	h.Columns = h.Rows
	var seen []frame
	for _, s := range r.Steps {
		if len(s.Table) == len(depths) {
			seen = append(seen, frame{s.Epoch, rounded(s.Table)})
		}
	}
	stride := max(1, (len(seen)+mostFrames-1)/mostFrames)
	for i := (len(seen) - 1) % stride; i < len(seen) && len(seen) > 1; i += stride {
		h.Frames = append(h.Frames, seen[i])
	}
	h.fill(cells, "%.2f")
	return h
}

// rounded keeps three digits after the point: more would only make the page larger.
func rounded(cells [][]*float64) [][]*float64 {
	out := make([][]*float64, len(cells))
	for i, row := range cells {
		out[i] = make([]*float64, len(row))
		for k, v := range row {
			if v != nil {
				short := math.Round(*v*1000) / 1000
				out[i][k] = &short
			}
		}
	}
	return out
}

// PNG writes the newest table as a picture.
func (h *heatMap) PNG(w io.Writer, title string) error {
	p := plot.New()
	p.Title.Text, p.Title.Padding = title, vg.Points(6)
	p.X.Label.Text, p.Y.Label.Text = h.ColName, h.RowName
	p.X.Tick.Marker, p.Y.Tick.Marker = names(h.Columns, false), names(h.Rows, true)
	for _, style := range []*text.Style{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label} {
		style.Font.Variant = "Sans"
	}
	p.X.Width, p.Y.Width, p.X.Tick.Length, p.Y.Tick.Length = 0, 0, 0, 0
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -.5, float64(len(h.Columns))-.5, -.5, float64(len(h.Rows))-.5
	for i, row := range h.newest {
		for k, v := range row {
			if v == nil {
				continue
			}
			x, y := float64(k), float64(len(h.newest)-1-i)
			square, err := plotter.NewPolygon(plotter.XYs{{X: x - .5, Y: y - .5}, {X: x + .5, Y: y - .5}, {X: x + .5, Y: y + .5}, {X: x - .5, Y: y + .5}})
			if err != nil {
				return err
			}
			c, dark := shade(h.share(*v))
			square.Color, square.LineStyle.Width = c, 0
			label, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{{X: x, Y: y}}, Labels: []string{fmt.Sprintf("%.2f", *v)}})
			if err != nil {
				return err
			}
			style := &label.TextStyle[0]
			style.Color, style.Font.Variant, style.Font.Size = color.White, "Sans", vg.Points(9)
			if dark {
				style.Color = color.Black
			}
			style.XAlign, style.YAlign = text.XCenter, text.YCenter
			p.Add(square, label)
		}
	}
	canvas := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(400, 400), vgimg.UseDPI(144), vgimg.UseBackgroundColor(color.White))}
	p.Draw(draw.Crop(draw.New(canvas), vg.Points(8), -vg.Points(8), vg.Points(8), -vg.Points(8)))
	_, err := canvas.WriteTo(w)
	return err
}

func names(words []string, down bool) plot.ConstantTicks {
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
