// Package live shows a run while it runs: its figures to Prometheus, whether it moves to Kubernetes, its page to people.
// It knows the lines of package record, package report that draws them, and what little else a run tells it; no settings, no bucket,
// no model.
package live

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/report"
)

// View is what is known of the run in progress. The zero View is ready. A run writes to it from any goroutine, and never
// waits for a reader: who reads takes the newest state, which nobody changes any more.
type View struct {
	mu     sync.Mutex            // held by writers among themselves, for as long as it takes to copy a state
	newest atomic.Pointer[state] // nil: nothing yet

	read, written atomic.Int64              // bytes between the buckets and this process
	traffic       atomic.Pointer[time.Time] // of the newest of these bytes; nil: none yet
}

// state is never changed once it is newest.
type state struct {
	moved   time.Time // newest progress that is not traffic
	doing   string    // what the run does now, for people
	phases  []phase
	before  *report.Run          // what earlier attempts have left; nil: not known
	steps   []trail[record.Step] // one for each phase
	healths trail[record.Health]
	onlines trail[record.Eval]
	alarms  trail[record.Alarm]
	rung    map[string]int64 // alarms by kind
	saves   saves
}

// phase is how far a phase has come.
type phase struct {
	name        string
	done, total int64 // updates
	computed    int64 // by this process
	began       time.Time
	moved       time.Time // by the newest update
}

// saves are the checkpoints of this process.
type saves struct {
	committed, failed int64
	bytes             int64
	seconds           float64
	phase             string
	step              int64 // of the newest in its phase
	at                time.Time
}

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

// Doing says what the run does from now on, such as compiling. It counts as progress.
func (v *View) Doing(what string) {
	v.change(func(s *state) { s.doing, s.moved = what, time.Now() })
}

// Moved says that a part of what the run is doing is done, such as one of four programs.
func (v *View) Moved() {
	v.change(func(s *state) { s.moved = time.Now() })
}

// Transferred counts bytes that came from a bucket or went there. They are progress too: a run may have to wait for
// gigabytes before its next step.
func (v *View) Transferred(read, written int) {
	v.read.Add(int64(read))
	v.written.Add(int64(written))
	now := time.Now()
	v.traffic.Store(&now)
}

// Stepped says how many updates of a phase are done, of how many.
func (v *View) Stepped(name string, done, total int64) {
	v.change(func(s *state) {
		now := time.Now()
		s.doing, s.moved = name, now
		s.phases = slices.Clone(s.phases)
		i := slices.IndexFunc(s.phases, func(p phase) bool { return p.name == name })
		if i < 0 {
			// The first call tells where this process began.
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

// SaveFailed counts a checkpoint that could not be committed. It is progress: the run goes on, and storage has its own
// patience.
func (v *View) SaveFailed() {
	v.change(func(s *state) {
		s.moved = time.Now()
		s.saves.failed++
	})
}

// Before tells what the run's folder held when this process began: the lines of earlier attempts, and how many there were. The
// run is not changed any more.
func (v *View) Before(run *report.Run) { v.change(func(s *state) { s.before = run }) }

// Line takes a line of the journal, which nobody changes any more.
func (v *View) Line(line any) {
	v.change(func(s *state) {
		switch line := line.(type) {
		case record.Step:
			s.steps = slices.Clone(s.steps)
			i := slices.IndexFunc(s.steps, func(t trail[record.Step]) bool { return t.newest().Phase == line.Phase })
			if i < 0 {
				i, s.steps = len(s.steps), append(s.steps, trail[record.Step]{})
			}
			s.steps[i] = s.steps[i].with(line)
		case record.Health:
			s.healths = s.healths.with(line)
		case record.Eval:
			s.onlines = s.onlines.with(line)
		case record.Alarm:
			s.alarms = s.alarms.with(line)
			s.rung = maps.Clone(s.rung)
			if s.rung == nil {
				s.rung = map[string]int64{}
			}
			s.rung[line.Alarm]++
		}
	})
}
