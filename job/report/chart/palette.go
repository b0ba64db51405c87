package chart

import (
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// palette is the colours of a chart. Its series are okabeIto for what has no order, then shades of
// one colour for depths, the strongest for the deepest.
type palette struct {
	ink, quiet, grid color.Color
	series           []color.Color
}

// Colours is how many colours there are for lines that have no order: 0 to Colours-1.
const Colours = len(okabeIto)

// depthSteps is the number of shades, which follow okabeIto.
const depthSteps = 12

// DepthColour is the colour of the i-th of n depths.
func DepthColour(i, n int) int {
	return len(okabeIto) + int(math.Round(float64(i)*(depthSteps-1)/float64(max(n-1, 1))))
}

// okabeIto are colours that readers with any kind of colour blindness tell apart (Okabe and Ito,
// 2008). The yellow is darker here, to be seen on white.
var okabeIto = [...]color.Color{
	color.RGBA{0x00, 0x72, 0xb2, 0xff}, color.RGBA{0xd5, 0x5e, 0x00, 0xff}, color.RGBA{0x00, 0x9e, 0x73, 0xff},
	color.RGBA{0xcc, 0x79, 0xa7, 0xff}, color.RGBA{0x9a, 0x8a, 0x00, 0xff}, color.RGBA{0x56, 0xb4, 0xe9, 0xff},
	color.RGBA{0xe6, 0x9f, 0x00, 0xff}, color.RGBA{0x55, 0x55, 0x55, 0xff},
}

// onPaper are the colours of a PNG.
func onPaper() palette {
	p := palette{ink: color.Gray{0x22}, quiet: color.Gray{0x66}, grid: color.Gray{0xe4}, series: slices.Clone(okabeIto[:])}
	for i := range uint8(depthSteps) {
		p.series = append(p.series, color.RGBA{0x7f - 11*i, 0x9d - 11*i, 0xbd - 10*i, 0xff})
	}
	return p
}

// inPage are placeholders: themed replaces each with a variable of the page's style sheet.
func inPage() palette {
	p := palette{ink: color.RGBA{1, 2, 3, 255}, quiet: color.RGBA{1, 2, 4, 255}, grid: color.RGBA{1, 2, 5, 255}}
	for i := range okabeIto {
		p.series = append(p.series, color.RGBA{1, 3, uint8(i), 255})
	}
	for i := range uint8(depthSteps) {
		p.series = append(p.series, color.RGBA{1, 4, i, 255})
	}
	return p
}

// dashes tell lines of one colour apart.
var dashes = [][]vg.Length{nil, {5, 3}, {1.5, 2.5}, {9, 2.5}, {7, 2.5, 1.5, 2.5}, {2.5, 5}}

func (p palette) line(l Line) draw.LineStyle {
	return draw.LineStyle{Color: p.series[l.Colour], Width: vg.Points(1.6), Dashes: dashes[l.Dash%len(dashes)]}
}
