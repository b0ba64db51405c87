package live

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/report"
)

const (
	// pageAge is how long a drawn page is served again, and pageShare how many times the time that
	// drawing it took: drawing takes processor time from training.
	pageAge   = 5 * time.Second
	pageShare = 20
	// pageWait is how long a reader waits for a page that is being drawn, before it gets the one
	// before, or 503.
	pageWait = 10 * time.Second
	// maxPage is the size of a page in bytes; a larger one is not served.
	maxPage = 32 << 20
	// maxReaders is the number of answers at once; more readers get 503.
	maxReaders = 16
)

// pages draws pages, one at a time, in a goroutine of its own, and holds the newest. No reader
// waits for another reader, and the run waits for none.
type pages struct {
	log     *slog.Logger
	draw    func(now time.Time) ([]byte, error)
	readers chan struct{} // one for each answer under way

	mu      sync.Mutex // guards what follows, and is not held while a page is drawn or written
	text    []byte     // the newest page; nil: none yet
	err     error      // of the newest drawing
	drawing chan struct{}
	next    time.Time // before it the newest page is served again
}

// page serves the report of the run in progress. It is made of what the run has reported, so a
// request moves no byte from or to a bucket, and does not count as progress.
func (v *View) page(o Options) http.Handler {
	return newPages(o.Log, func(now time.Time) ([]byte, error) { return v.draw(o, now) })
}

func (v *View) draw(o Options, now time.Time) ([]byte, error) {
	var b bytes.Buffer
	err := v.report(o, now).HTML(&b)
	return b.Bytes(), err
}

func newPages(log *slog.Logger, draw func(now time.Time) ([]byte, error)) *pages {
	return &pages{log: log, draw: draw, readers: make(chan struct{}, maxReaders)}
}

// ServeHTTP answers with the newest page, 500 if it could not be drawn, or 503 if there is none yet
// or there are too many readers.
func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const busy = "the page is busy; ask again in a minute"
	select {
	case p.readers <- struct{}{}:
		defer func() { <-p.readers }()
	default:
		http.Error(w, busy, http.StatusServiceUnavailable)
		return
	}
	text, err := p.newest(r.Context().Done())
	switch {
	case err != nil:
		http.Error(w, "the page could not be drawn; the log of the run says why", http.StatusInternalServerError)
	case text == nil:
		http.Error(w, busy, http.StatusServiceUnavailable)
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(text) // the only error is a reader that has left
	}
}

// newest returns the newest page, drawn anew if it is too old; nil if there is none within
// pageWait.
func (p *pages) newest(gone <-chan struct{}) ([]byte, error) {
	p.mu.Lock()
	if p.drawing == nil && !time.Now().Before(p.next) {
		p.drawing = make(chan struct{})
		go p.redraw(p.drawing)
	}
	drawing := p.drawing
	p.mu.Unlock()
	if drawing != nil {
		late := time.NewTimer(pageWait)
		defer late.Stop()
		select {
		case <-drawing:
		case <-late.C:
		case <-gone:
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text, p.err
}

// redraw draws a page. A panic in a chart is an error of the page, and not the end of the run.
func (p *pages) redraw(done chan struct{}) {
	began := time.Now()
	text, err := func() (text []byte, err error) {
		defer func() {
			if fault := recover(); fault != nil {
				err = fmt.Errorf("drawing panicked: %v\n%s", fault, debug.Stack())
			}
		}()
		return p.draw(began)
	}()
	if err == nil && len(text) > maxPage {
		err = fmt.Errorf("it has %d bytes, and the limit is %d", len(text), maxPage)
	}
	if err != nil {
		p.log.Warn("the page of the run could not be drawn", "error", err)
	}
	ended := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err = err; err == nil {
		p.text = text
	}
	p.drawing, p.next = nil, ended.Add(max(pageAge, pageShare*ended.Sub(began)))
	close(done)
}

// report is the report of the run now: what earlier attempts have left in the bucket, and the lines
// of this process.
func (v *View) report(o Options, now time.Time) *report.Report {
	s := v.state()
	run := s.before
	if run == nil {
		depths, _ := json.Marshal(o.Depths) // whole numbers
		run = &history.Run{Name: o.Run, Preset: o.Preset, Record: history.RunRecord{
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
