package report

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cijepa/cijepa/job/record"
)

const (
	pretraining = record.Pretraining
	probing     = record.Probing
)

// minute is a time in the life of a run.
func minute(after int) time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(after) * time.Minute)
}

// TestAttemptsMade: five attempts. The first was killed at 70 with metrics up to 60 and restored at 40; the second was
// stopped at 90 with 90 saved; the third was stopped at 120 and restored at 100; the fourth ended pretraining and was
// killed at 12 of the probe, which went on from 7.
func TestAttemptsMade(t *testing.T) {
	f := newFolder(t)
	f.putJSON("runs/r/run.json", begun("L200", 0))
	put := func(key string, lines ...record.Step) { putLines(f, "runs/r/metrics/"+key, lines...) }
	attempt := func(name string, n, after int, phase string, from, step int64) {
		putLines(f, fmt.Sprintf("runs/r/metrics/attempt-%s-%06d.jsonl", name, n), record.Attempt{Time: minute(after), Phase: phase, From: from, Step: step})
	}
	attempt("z-1", 1, 0, pretraining, 0, 0)
	put("steps-z-1-000001.jsonl", record.Step{Phase: pretraining, Step: 20})
	put("steps-z-1-000002.jsonl", record.Step{Phase: pretraining, Step: 40}, record.Step{Phase: pretraining, Step: 60})
	attempt("y-2", 1, 1, pretraining, 40, 40)
	attempt("y-2", 2, 2, pretraining, 40, 90)
	attempt("x-3", 1, 3, pretraining, 90, 90)
	attempt("x-3", 2, 4, pretraining, 90, 120)
	put("steps-x-3-000001.jsonl", record.Step{Phase: pretraining, Step: 100})
	attempt("w-4", 1, 5, pretraining, 100, 100)
	put("steps-w-4-000001.jsonl", record.Step{Phase: pretraining, Step: 200})
	put("steps-w-4-000002.jsonl", record.Step{Phase: probing, Step: 12})
	attempt("v-5", 1, 6, probing, 7, 7)
	put("attempt-u-6-000001.jsonl") // empty: damaged
	r, err := ReadRun(t.Context(), f.open(), "r")
	if err != nil {
		t.Fatal(err)
	}
	if attempts, lost := len(r.Attempts), r.Lost(); attempts != 5 || lost != 20+0+20+5 {
		t.Errorf("%d attempts and %d lost updates, want 5 and 45", attempts, lost)
	}
}

// TestLostWhereAttemptsOverlap: what two attempts at once made in vain is what neither of them committed.
func TestLostWhereAttemptsOverlap(t *testing.T) {
	type end struct {
		after int
		step  int64
		saved int64
		how   string
	}
	type attempt struct {
		after int
		from  int64
		end   *end  // nil: killed, or the one that finishes
		seen  int64 // in the metrics
	}
	for name, c := range map[string]struct {
		attempts []attempt
		lost     int64
	}{
		"one beside another that goes on":       {[]attempt{{0, 0, &end{1, 108, 108, record.Stopped}, 0}, {2, 108, &end{5, 127, 127, record.Stopped}, 120}, {3, 108, &end{4, 109, 108, record.Overtaken}, 0}, {6, 127, nil, 436}}, 1},
		"one that was given up for lost":        {[]attempt{{0, 0, &end{5, 70, 60, record.Overtaken}, 0}, {3, 60, nil, 436}}, 10},
		"killed beside one that was overtaken":  {[]attempt{{0, 0, nil, 70}, {3, 0, &end{4, 5, 0, record.Overtaken}, 0}, {6, 60, nil, 436}}, 15},
		"killed before one that was overtaken":  {[]attempt{{0, 0, nil, 70}, {3, 60, &end{6, 85, 80, record.Overtaken}, 0}, {5, 80, nil, 436}}, 15},
		"the finished one began first":          {[]attempt{{0, 0, nil, 436}, {3, 60, &end{4, 61, 60, record.Overtaken}, 0}}, 1},
		"what one saved was damaged afterwards": {[]attempt{{0, 0, &end{2, 70, 70, record.Stopped}, 0}, {3, 50, nil, 436}}, 20},
	} {
		f := newFolder(t)
		f.putJSON("runs/r/run.json", begun("L200", 0))
		for i, a := range c.attempts {
			begun := record.Attempt{Time: minute(a.after), Phase: pretraining, From: a.from, Step: a.from}
			putLines(f, fmt.Sprintf("runs/r/metrics/attempt-%d-1-000001.jsonl", i), begun)
			if a.seen > 0 {
				putLines(f, fmt.Sprintf("runs/r/metrics/steps-%d-1-000002.jsonl", i), record.Step{Phase: pretraining, Step: a.seen})
			}
			if e := a.end; e != nil {
				putLines(f, fmt.Sprintf("runs/r/metrics/attempt-%d-1-000003.jsonl", i), record.Attempt{Time: minute(e.after), Phase: pretraining, From: a.from, Step: e.step, Saved: &e.saved, How: e.how})
			}
		}
		r, err := ReadRun(t.Context(), f.open(), "r")
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Attempts) != len(c.attempts) || r.Lost() != c.lost {
			t.Errorf("%s: %d attempts, %d updates lost, want %d", name, len(r.Attempts), r.Lost(), c.lost)
		}
	}
}

// TestAttemptsOfDifferentClocks: a machine whose clock is six hours ahead is killed at 70, one with the right time goes on from 60 and is stopped at 128,
// one twelve hours ahead finishes. Each names the newest manifest that it found.
func TestAttemptsOfDifferentClocks(t *testing.T) {
	f := newFolder(t)
	f.putJSON("runs/r/run.json", begun("L200", 0))
	saved := int64(128)
	for name, lines := range map[string][]record.Attempt{
		"c-1": {{Time: minute(360), Phase: pretraining}},
		"b-2": {{Time: minute(1), Phase: pretraining, From: 60, Step: 60, Manifest: 3}, {Time: minute(2), Phase: pretraining, From: 60, Step: 128, Saved: &saved, How: record.Stopped, Manifest: 6}},
		"a-3": {{Time: minute(722), Phase: pretraining, From: 128, Step: 128, Manifest: 6}},
	} {
		for n, line := range lines {
			putLines(f, fmt.Sprintf("runs/r/metrics/attempt-%s-%06d.jsonl", name, n+1), line)
		}
	}
	putLines(f, "runs/r/metrics/steps-c-1-000002.jsonl", record.Step{Phase: pretraining, Step: 70})
	r, err := ReadRun(t.Context(), f.open(), "r")
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, a := range r.Attempts {
		order = append(order, a.Name)
	}
	if !slices.Equal(order, []string{"c-1", "b-2", "a-3"}) || r.Lost() != 10 {
		t.Errorf("order %v, %d updates lost, want 10", order, r.Lost())
	}
}
