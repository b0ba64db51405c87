package chart

import (
	"bytes"
	"fmt"
	"html/template"
	"regexp"
	"strings"

	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// SVG is the chart for a page, in the colours of the page's style sheet; empty if there is nothing
// to see.
func (c Chart) SVG() (template.HTML, error) {
	if c.Empty() {
		return "", nil
	}
	p, err := c.plot(inPage())
	if err != nil {
		return "", err
	}
	canvas := vgsvg.New(c.size().width, c.size().height)
	// Room for half a dot and half a letter beyond the lines.
	p.Draw(draw.Crop(draw.New(canvas), 0, -2, 0, -c.size().letters/2))
	var text bytes.Buffer
	if _, err := canvas.WriteTo(&text); err != nil {
		return "", err
	}
	return themed(text.String(), c.Alt()), nil
}

var (
	svgHead = regexp.MustCompile(`(?s)^.*?<svg[^>]*?viewBox="([^"]+)"[^>]*>`)
	svgFont = regexp.MustCompile(`font-family:[^;"]*;?`)
)

// themed makes gonum's SVG part of a page: it takes the page's width, font and colours, and says
// what it shows. The style sheet must have the variables --ink, --quiet, --grid, --s0 to --s7,
// --deep, --shallow.
func themed(svg, alt string) template.HTML {
	svg = svgHead.ReplaceAllString(svg, `<svg viewBox="$1" role="img" aria-label="`+template.HTMLEscapeString(alt)+`">`)
	svg = svgFont.ReplaceAllString(svg, "")
	svg = strings.NewReplacer("#010203", "var(--ink)", "#010204", "var(--quiet)", "#010205", "var(--grid)").Replace(svg)
	for i := range okabeIto {
		svg = strings.ReplaceAll(svg, fmt.Sprintf("#0103%02X", i), fmt.Sprintf("var(--s%d)", i))
	}
	for i := range depthSteps {
		mix := fmt.Sprintf("color-mix(in srgb,var(--deep) %d%%,var(--shallow))", 100*i/(depthSteps-1))
		svg = strings.ReplaceAll(svg, fmt.Sprintf("#0104%02X", i), mix)
	}
	return template.HTML(svg)
}
