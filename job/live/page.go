package live

import (
	"bytes"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/report"
)

// pageAge is how long a drawn page is served again: drawing takes processor time from training.
const pageAge = 5 * time.Second

// page serves the report of the run in progress. It is made of what the run has reported, so a
// request moves no byte from or to a bucket, and does not count as progress.
func (v *View) page(o Options) http.HandlerFunc {
	var mu sync.Mutex // one page is drawn at a time
	var drawn time.Time
	var text []byte
	return func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); text == nil || now.Sub(drawn) > pageAge {
			var b bytes.Buffer
			if err := v.report(o, now).HTML(&b); err != nil {
				o.Log.Warn("the page of the run could not be drawn", "error", err)
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			drawn, text = now, b.Bytes()
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(text) // the only error is a reader that has left
	}
}

// report is the report of the run now: what earlier attempts have left in the bucket, and the lines
// of this process.
func (v *View) report(o Options, now time.Time) *report.Report {
	s := v.state()
	run := s.before
	if run == nil {
		depths, _ := json.Marshal(o.Depths) // whole numbers
		run = &history.Run{Name: o.Run, Preset: o.Preset, Record: record.RunRecord[history.Recipe]{
			Recipe: history.Recipe{"Depths": depths}, Versions: o.Versions,
		}}
	}
	moved, doing := v.progress(now)
	progress := &report.Progress{Doing: doing, Idle: now.Sub(moved)}
	for _, p := range s.phases {
		if p.name == s.doing {
			progress.Done, progress.Total = p.done, p.total
			if p.computed > 0 {
				perUpdate := float64(p.moved.Sub(p.began)) / float64(p.computed)
				progress.Remaining = time.Duration(perUpdate * float64(p.total-p.done))
			}
		}
	}
	current := history.Current{Health: s.healths.lines, Evals: s.evals.lines, Alarms: s.alarms.lines}
	for _, phase := range s.steps {
		current.Steps = append(current.Steps, phase.lines...)
	}
	return &report.Report{Read: now.UTC(), Progress: progress, Runs: []*history.Run{run.With(current)}}
}
