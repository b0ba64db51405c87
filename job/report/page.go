package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/report/chart"
)

//go:embed page.html.tmpl
var pageText string

//go:embed page.css
var pageStyle string

//go:embed page.js
var pageScript string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"fixed": func(v any, digits int) string { // a float64 or a pointer to one
		if v, ok := v.(float64); ok {
			return fixed(&v, digits)
		}
		return fixed(v.(*float64), digits)
	},
	"share": func(v *float64) float64 { return 100 * *v },
	"signed": func(v *float64) string {
		if v == nil {
			return "–"
		}
		return minus(fmt.Sprintf("%+.2f", *v))
	},
	"lost": lost, "variable": record.Variable,
	"seedsNote": func() string { return seedsNote },
	"unbroken": func(sentence string) string { // a figure stays with its error and its percent sign
		return strings.NewReplacer(" %", "\u00a0%", " ± ", "\u00a0±\u00a0").Replace(sentence)
	},
	"breakable": func(variable string) template.HTML { // may go to another line behind an underscore
		return template.HTML(strings.ReplaceAll(template.HTMLEscapeString(variable), "_", "_<wbr>"))
	},
	"clock": func(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04:05") },
	"depths": func(a record.Alarm) string {
		switch {
		case a.Depth != nil && a.To != nil:
			return fmt.Sprintf("depth %d to %d", *a.Depth, *a.To)
		case a.Depth != nil:
			return fmt.Sprintf("depth %d", *a.Depth)
		}
		return ""
	},
}).Parse(pageText + picturesText + pairedText))

// page is what the template shows.
type page struct {
	*Report
	First     string // the run that is shown at first
	Style     template.CSS
	Script    template.JS
	Compared  []picture
	AlphaBeta *chart.HeatMap
	Details   []detail
}

// picture is a chart in the page.
type picture struct {
	Title, Note string
	SVG         template.HTML
}

// detail is one run's part of the page.
type detail struct {
	*history.Run
	Pictures []picture
	Heat     *chart.HeatMap
	Timeline *timeline
}

// HTML writes the page: one file that needs nothing else.
func (r *Report) HTML(w io.Writer) error {
	p := page{Report: r, Style: template.CSS(pageStyle) + r.pictureStyle(), Script: template.JS(pageScript), AlphaBeta: r.alphaBeta()}
	if len(r.Runs) > 0 {
		p.First = r.best().Name
	}
	if len(r.Runs) > 1 {
		for _, c := range r.comparisons() {
			if err := addPicture(&p.Compared, c.Chart); err != nil {
				return err
			}
		}
	}
	for _, run := range r.Runs {
		d := detail{Run: run, Heat: errorTable(run), Timeline: newTimeline(run, r.Read)}
		for _, c := range charts(run) {
			if err := addPicture(&d.Pictures, c); err != nil {
				return err
			}
		}
		p.Details = append(p.Details, d)
	}
	return pageTemplate.Execute(w, p)
}

// addPicture draws a chart, unless it is empty.
func addPicture(to *[]picture, c chart.Chart) error {
	svg, err := c.SVG()
	if err != nil {
		return fmt.Errorf("drawing %q: %w", c.Title, err)
	}
	if svg != "" {
		*to = append(*to, picture{c.Title, c.Note, svg})
	}
	return nil
}
