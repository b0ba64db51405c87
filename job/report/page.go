package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/cijepa/cijepa/job/record"
)

//go:embed page.html.tmpl
var pageText string

//go:embed page.css
var pageStyle string

//go:embed page.js
var pageScript string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"figure": func(v any, digits int) string {
		switch v := v.(type) {
		case *float64:
			if v == nil {
				return "–"
			}
			return fmt.Sprintf("%.*f", digits, *v)
		case float64:
			return fmt.Sprintf("%.*f", digits, v)
		}
		return fmt.Sprint(v)
	},
	"signed": func(v *float64) string {
		if v == nil {
			return "–"
		}
		return strings.Replace(fmt.Sprintf("%+.2f", *v), "-", "−", 1)
	},
	"clock": func(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04:05") },
	"where": func(a record.Alarm) string {
		switch {
		case a.Depth != nil && a.To != nil:
			return fmt.Sprintf("depth %d to %d", *a.Depth, *a.To)
		case a.Depth != nil:
			return fmt.Sprintf("depth %d", *a.Depth)
		}
		return ""
	},
	"given": func(text, otherwise string) string {
		if text == "" {
			return otherwise
		}
		return text
	},
}).Parse(pageText))

// page is what the template shows.
type page struct {
	*Report
	Style     template.CSS
	Script    template.JS
	Compared  []picture
	AlphaBeta *heatMap
	Details   []detail
}

// picture is a chart in the page.
type picture struct {
	Title, Note string
	SVG         template.HTML
}

// detail is one run's part of the page.
type detail struct {
	*Run
	Pictures []picture
	Heat     *heatMap
	Timeline *timeline
}

// HTML writes the page: one file that needs nothing else.
func (r *Report) HTML(w io.Writer) error {
	p := page{Report: r, Style: template.CSS(pageStyle), Script: template.JS(pageScript), AlphaBeta: r.alphaBeta()}
	var err error
	if len(r.Runs) > 1 {
		if p.Compared, err = pictures(r.compared()); err != nil {
			return err
		}
	}
	for _, run := range r.Runs {
		d := detail{Run: run, Heat: run.table(), Timeline: run.timeline(r.Read)}
		if d.Pictures, err = pictures(run.charts()); err != nil {
			return err
		}
		p.Details = append(p.Details, d)
	}
	return pageTemplate.Execute(w, p)
}

func pictures(charts []chart) ([]picture, error) {
	var all []picture
	for _, c := range charts {
		svg, err := c.SVG()
		if err != nil {
			return nil, fmt.Errorf("drawing %q: %w", c.Title, err)
		}
		if svg != "" {
			all = append(all, picture{c.Title, c.Note, svg})
		}
	}
	return all, nil
}

// Hours is how long the run has computed, as it says itself; nil before it has finished.
func (r *Run) Hours() *float64 {
	if r.Result == nil {
		return nil
	}
	c := r.Result.Stats
	hours := (c.PretrainSeconds + c.ProbeSeconds + c.ScoreSeconds) / 3600
	return &hours
}

// Speed is the newest throughput in images a second, or the whole run's.
func (r *Run) Speed() *float64 {
	if r.Result != nil {
		return &r.Result.Stats.ImagesPerSecond
	}
	if n := len(r.Steps); n > 0 {
		return &r.Steps[n-1].ImagesPerSecond
	}
	return nil
}

// Wait is the share of pretraining spent waiting for images, in percent: the whole run's, or the newest.
func (r *Run) Wait() *float64 {
	var share float64
	switch n := len(r.Steps); {
	case r.Result != nil:
		share = 100 * r.Result.Stats.DataWait
	case n > 0:
		share = 100 * r.Steps[n-1].DataWait
	default:
		return nil
	}
	return &share
}

// Lost is how many updates were made in vain, as far as the lines tell.
func (r *Run) Lost() int64 {
	if r.Result != nil {
		return r.Result.Stats.UpdatesLost
	}
	var all []record.Attempted
	for _, a := range r.Attempts {
		all = append(all, a.known)
	}
	return record.Lost(all)
}

// TroubleCount of the whole report, for its heading.
func (r *Report) TroubleCount() int {
	n := len(r.Unreadable)
	for _, run := range r.Runs {
		n += len(run.Trouble)
	}
	return n
}

// AlarmCount of the whole report, for its heading.
func (r *Report) AlarmCount() int {
	n := 0
	for _, run := range r.Runs {
		n += len(run.Alarms)
	}
	return n
}
