// Package live serves the state of a run in progress over HTTP: /metrics for Prometheus, /healthz
// for Kubernetes, a page for people. It knows the lines of package record and what else the run
// reports to a View. It knows no settings, no bucket and no model, and leaves the page to package
// report.
//
//	view.go         the state, which the run updates
//	server.go       the HTTP server
//	health.go       /healthz, who asks for it, and the watchdog that ends a run that hangs
//	metrics.go      /metrics
//	page.go         the page
//	downsampled.go  the lines of a run of any length in bounded memory
package live

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/record"
)

// View is the state of the run in progress. The zero View is ready. The run updates it from any
// goroutine and never waits for a reader: readers take the newest state, which is immutable.
type View struct {
	mu     sync.Mutex            // held by a writer while it copies the state
	newest atomic.Pointer[state] // nil: nothing yet

	read, written atomic.Int64              // bytes between the buckets and this process
	traffic       atomic.Pointer[time.Time] // of the newest of these bytes; nil: none yet
}

// state is immutable once it is newest.
type state struct {
	moved       time.Time // newest progress that is not traffic
	doing       string    // what the run does now, for people
	phases      []phase
	before      *history.Run               // what earlier attempts have left; nil: not known
	steps       []downsampled[record.Step] // one for each phase
	healths     downsampled[record.Health]
	evals       downsampled[record.Eval]
	alarms      downsampled[record.Alarm]
	alarmCounts map[string]int64 // by kind
	saves       saves
}

// phase is how far a phase has come.
type phase struct {
	name        string
	done, total int64 // updates
	computed    int64 // by this process
	began       time.Time
	moved       time.Time // when the newest update was done
}

// saves counts the checkpoints of this process.
type saves struct {
	committed, failed int64
	bytes             int64
	seconds           float64
	phase             string
	step              int64 // of the newest in its phase
	at                time.Time
}

// change makes a new state from a copy of the newest.
func (v *View) change(f func(*state)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.state()
	f(&s)
	v.newest.Store(&s)
}

func (v *View) state() state {
	if s := v.newest.Load(); s != nil {
		return *s
	}
	return state{}
}

// Doing sets what the run does from now on, such as compiling. It counts as progress.
func (v *View) Doing(what string) {
	v.change(func(s *state) { s.doing, s.moved = what, time.Now() })
}

// Moved counts as progress within what the run is doing, such as one of four programs compiled.
func (v *View) Moved() {
	v.change(func(s *state) { s.moved = time.Now() })
}

// Transferred counts bytes read from buckets and written to them. They are progress too: a run may
// wait for gigabytes before its next step.
func (v *View) Transferred(read, written int) {
	v.read.Add(int64(read))
	v.written.Add(int64(written))
	now := time.Now()
	v.traffic.Store(&now)
}

// Stepped sets how many updates of a phase are done, of how many.
func (v *View) Stepped(name string, done, total int64) {
	v.change(func(s *state) {
		now := time.Now()
		s.doing, s.moved = name, now
		s.phases = slices.Clone(s.phases)
		i := slices.IndexFunc(s.phases, func(p phase) bool { return p.name == name })
		if i < 0 {
			// The first call is from where this process began.
			s.phases = append(s.phases, phase{name: name, done: done, total: total, began: now, moved: now})
			return
		}
		p := &s.phases[i]
		p.computed += done - p.done
		p.done, p.total, p.moved = done, total, now
	})
}

// Saved counts a checkpoint that is committed.
func (v *View) Saved(phase string, step, bytes int64, took time.Duration) {
	v.change(func(s *state) {
		s.moved = time.Now()
		s.saves.committed++
		s.saves.bytes += bytes
		s.saves.seconds += took.Seconds()
		s.saves.phase, s.saves.step, s.saves.at = phase, step, time.Now()
	})
}

// SaveFailed counts a checkpoint that could not be committed. It is progress: the run goes on, and
// storage has its own timeouts.
func (v *View) SaveFailed() {
	v.change(func(s *state) {
		s.moved = time.Now()
		s.saves.failed++
	})
}

// Before sets what the run's folder held when this process began: the lines of earlier attempts.
// The caller must not change it any more.
func (v *View) Before(run *history.Run) { v.change(func(s *state) { s.before = run }) }

// Line adds a line of the journal. The caller must not change it any more.
func (v *View) Line(line any) {
	v.change(func(s *state) {
		switch line := line.(type) {
		case record.Step:
			s.steps = slices.Clone(s.steps)
			i := slices.IndexFunc(s.steps, func(t downsampled[record.Step]) bool { return t.newest().Phase == line.Phase })
			if i < 0 {
				i, s.steps = len(s.steps), append(s.steps, downsampled[record.Step]{})
			}
			s.steps[i] = s.steps[i].with(line)
		case record.Health:
			s.healths = s.healths.with(line)
		case record.Eval:
			s.evals = s.evals.with(line)
		case record.Alarm:
			s.alarms = s.alarms.with(line)
			s.alarmCounts = maps.Clone(s.alarmCounts)
			if s.alarmCounts == nil {
				s.alarmCounts = map[string]int64{}
			}
			s.alarmCounts[line.Alarm]++
		}
	})
}
