package live

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/report"
)

// fresh is for how long a drawn page is good enough for the next reader: drawing takes processor time from training.
const fresh = 5 * time.Second

// page shows the run in progress to people, with the charts of a report. It is made of what the run has told, so reading it
// moves no byte from or to a bucket, and no look at a run makes it seem to move.
func (v *View) page(who Identity, log *slog.Logger) http.HandlerFunc {
	var mu sync.Mutex // one page is drawn at a time
	var drawn time.Time
	var text []byte
	return func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); text == nil || now.Sub(drawn) > fresh {
			var b bytes.Buffer
			if err := v.report(who, now).HTML(&b); err != nil {
				log.Warn("the page of the run could not be drawn", "error", err)
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			drawn, text = now, b.Bytes()
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(text) // a reader who left
	}
}

// report is what is known of the run now: what earlier attempts have left in the bucket, and what this process has told.
func (v *View) report(who Identity, now time.Time) *report.Report {
	s := v.state()
	run := s.before
	if run == nil {
		depths, _ := json.Marshal(who.Depths) // whole numbers
		run = &report.Run{Name: who.Run, Preset: who.Preset, Begun: record.RunRecord[report.Recipe]{Recipe: report.Recipe{"Depths": depths}, Versions: who.Versions}}
	}
	moved, doing := v.pulse(now)
	watch := &report.Watch{Doing: doing, Idle: now.Sub(moved)}
	for _, p := range s.phases {
		if p.name == s.doing {
			watch.Done, watch.Total = p.done, p.total
			if p.computed > 0 {
				watch.Remaining = time.Duration(float64(p.moved.Sub(p.began)) / float64(p.computed) * float64(p.total-p.done))
			}
		}
	}
	lines := report.Lines{Health: s.healths.lines, Online: s.onlines.lines, Alarms: s.alarms.lines}
	for _, phase := range s.steps {
		lines.Steps = append(lines.Steps, phase.lines...)
	}
	return &report.Report{Read: now.UTC(), Watch: watch, Runs: []*report.Run{run.With(lines)}}
}
