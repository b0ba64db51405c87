package history

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "gocloud.dev/blob/fileblob"

	"github.com/cijepa/cijepa/job/history/historytest"
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

// TestAttemptsAndLostUpdatesAreCounted: five attempts. The first was killed at 70 with metrics up
// to 60 and restored at 40; the second was stopped at 90 with 90 saved; the third was stopped at
// 120 and restored at 100; the fourth ended pretraining and was killed at 12 of the probe, which
// went on from 7.
func TestAttemptsAndLostUpdatesAreCounted(t *testing.T) {
	f := historytest.New(t)
	f.PutRecord("runs/r/run.json", historytest.Record("L200", 0))
	put := func(key string, lines ...record.Step) { historytest.PutLines(f, "runs/r/metrics/"+key, lines...) }
	attempt := func(name string, n, after int, phase string, from, step int64) {
		historytest.PutLines(f, fmt.Sprintf("runs/r/metrics/attempt-%s-%06d.jsonl", name, n),
			record.Attempt{Time: minute(after), Phase: phase, From: from, Step: step})
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
	r, err := Read(t.Context(), f.Open(), "r")
	if err != nil {
		t.Fatal(err)
	}
	if attempts, lost, killed := len(r.Attempts), r.Lost(), r.Killed(); attempts != 5 || lost != 20+0+20+5 || killed != 2 {
		t.Errorf("%d attempts, %d killed and %d lost updates, want 5, 2 and 45", attempts, killed, lost)
	}
}

// TestLostUpdatesOfOverlappingAttempts: of two attempts at once, the updates are lost that neither
// committed.
func TestLostUpdatesOfOverlappingAttempts(t *testing.T) {
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
		"one beside another that goes on": {[]attempt{
			{0, 0, &end{1, 108, 108, record.Stopped}, 0}, {2, 108, &end{5, 127, 127, record.Stopped}, 120},
			{3, 108, &end{4, 109, 108, record.Overtaken}, 0}, {6, 127, nil, 436},
		}, 1},
		"one that was given up for lost":        {[]attempt{{0, 0, &end{5, 70, 60, record.Overtaken}, 0}, {3, 60, nil, 436}}, 10},
		"killed beside one that was overtaken":  {[]attempt{{0, 0, nil, 70}, {3, 0, &end{4, 5, 0, record.Overtaken}, 0}, {6, 60, nil, 436}}, 15},
		"killed before one that was overtaken":  {[]attempt{{0, 0, nil, 70}, {3, 60, &end{6, 85, 80, record.Overtaken}, 0}, {5, 80, nil, 436}}, 15},
		"the finished one began first":          {[]attempt{{0, 0, nil, 436}, {3, 60, &end{4, 61, 60, record.Overtaken}, 0}}, 1},
		"what one saved was damaged afterwards": {[]attempt{{0, 0, &end{2, 70, 70, record.Stopped}, 0}, {3, 50, nil, 436}}, 20},
	} {
		f := historytest.New(t)
		f.PutRecord("runs/r/run.json", historytest.Record("L200", 0))
		for i, a := range c.attempts {
			begun := record.Attempt{Time: minute(a.after), Phase: pretraining, From: a.from, Step: a.from}
			historytest.PutLines(f, fmt.Sprintf("runs/r/metrics/attempt-%d-1-000001.jsonl", i), begun)
			if a.seen > 0 {
				historytest.PutLines(f, fmt.Sprintf("runs/r/metrics/steps-%d-1-000002.jsonl", i), record.Step{Phase: pretraining, Step: a.seen})
			}
			if e := a.end; e != nil {
				historytest.PutLines(f, fmt.Sprintf("runs/r/metrics/attempt-%d-1-000003.jsonl", i), record.Attempt{
					Time: minute(e.after), Phase: pretraining, From: a.from, Step: e.step, Saved: &e.saved, How: e.how,
				})
			}
		}
		r, err := Read(t.Context(), f.Open(), "r")
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Attempts) != len(c.attempts) || r.Lost() != c.lost {
			t.Errorf("%s: %d attempts, %d updates lost, want %d", name, len(r.Attempts), r.Lost(), c.lost)
		}
	}
}

// TestManifestNumbersOrderAttemptsOfDifferentClocks: a machine whose clock is six hours ahead is
// killed at 70, one with the right time goes on from 60 and is stopped at 128, one twelve hours
// ahead finishes. Each names the newest manifest that it found.
func TestManifestNumbersOrderAttemptsOfDifferentClocks(t *testing.T) {
	f := historytest.New(t)
	f.PutRecord("runs/r/run.json", historytest.Record("L200", 0))
	saved := int64(128)
	for name, lines := range map[string][]record.Attempt{
		"c-1": {{Time: minute(360), Phase: pretraining}},
		"b-2": {
			{Time: minute(1), Phase: pretraining, From: 60, Step: 60, Manifest: 3},
			{Time: minute(2), Phase: pretraining, From: 60, Step: 128, Saved: &saved, How: record.Stopped, Manifest: 6},
		},
		"a-3": {{Time: minute(722), Phase: pretraining, From: 128, Step: 128, Manifest: 6}},
	} {
		for n, line := range lines {
			historytest.PutLines(f, fmt.Sprintf("runs/r/metrics/attempt-%s-%06d.jsonl", name, n+1), line)
		}
	}
	historytest.PutLines(f, "runs/r/metrics/steps-c-1-000002.jsonl", record.Step{Phase: pretraining, Step: 70})
	r, err := Read(t.Context(), f.Open(), "r")
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

// TestUpdatesThatNobodyCommittedAreLost, whatever ran at the same time.
func TestUpdatesThatNobodyCommittedAreLost(t *testing.T) {
	at := func(hours int) time.Time { return time.Date(2026, 1, 1, hours, 0, 0, 0, time.UTC) }
	count := func(n int64) *int64 { return &n }
	killed := func(begun int, from, reached int64) Attempt {
		a := Attempt{begin: record.Attempt{Time: at(begun), Phase: record.Pretraining, From: from, Step: from}}
		a.last = a.begin
		a.observe(record.Pretraining, reached)
		return a
	}
	ended := func(begun, end int, from, reached, saved int64, how string) Attempt {
		a := killed(begun, from, reached)
		a.last, a.ended = record.Attempt{Time: at(end), Phase: record.Pretraining, From: from, Step: reached, Saved: count(saved), How: how}, true
		return a
	}
	probed := killed(3, 100, 100)
	probed.observe(record.Probing, 7)
	back := Attempt{begin: record.Attempt{Time: at(5), Phase: record.Probing, From: 4, Step: 4}}
	back.last = back.begin
	early := killed(3, 90, 100)
	early.observe(record.Probing, 50)
	known := ended(0, 1, 0, 120, 100, record.Stopped)
	known.last.Manifest = 6
	for name, c := range map[string]struct {
		all  []Attempt
		want int64
	}{
		"none":                         {nil, 0},
		"at work":                      {[]Attempt{killed(0, 0, 50)}, 0},
		"killed behind its checkpoint": {[]Attempt{killed(0, 0, 50), killed(1, 40, 60)}, 10},
		"stopped, all saved":           {[]Attempt{ended(0, 1, 0, 50, 50, record.Stopped), killed(2, 50, 50)}, 0},
		"stopped, not all saved":       {[]Attempt{ended(0, 1, 0, 50, 30, record.Stopped), killed(2, 30, 40)}, 20},
		"what it saved was damaged":    {[]Attempt{ended(0, 1, 0, 50, 50, record.Stopped), killed(2, 30, 40)}, 20},
		"overtaken beside one that goes on": {[]Attempt{
			ended(0, 4, 100, 127, 127, record.Stopped), ended(1, 2, 100, 109, 100, record.Overtaken), killed(5, 127, 130),
		}, 9},
		"killed in the probe":                                       {[]Attempt{probed, back}, 3},
		"killed before the probe was saved":                         {[]Attempt{early, killed(4, 100, 100)}, 50},
		"killed in pretraining, which another ended":                {[]Attempt{killed(0, 0, 50), back}, 0},
		"stopped, and gone on with by a version that does not tell": {[]Attempt{known, killed(2, 90, 95)}, 30},
	} {
		if got := Lost(c.all); got != c.want {
			t.Errorf("%s: %d updates lost, want %d", name, got, c.want)
		}
	}
}

// TestUpdatesCountForTheAttemptThatComputedThem and not for another that ran at the same time,
// whether that one could write its end or not.
func TestUpdatesCountForTheAttemptThatComputedThem(t *testing.T) {
	count := func(n int64) *int64 { return &n }
	f := historytest.New(t)
	f.PutRecord("runs/r/run.json", historytest.Record("R-U", 0))
	for name, lines := range map[string][]record.Attempt{
		"a": {
			{Time: minute(0), From: 108, Step: 108},
			{Time: minute(180), From: 108, Step: 127, Saved: count(127), How: record.Stopped},
		},
		"b": {
			{Time: minute(60), From: 108, Step: 108},
			{Time: minute(120), From: 108, Step: 109, Saved: count(108), How: record.Overtaken},
		},
		"c": {{Time: minute(150), From: 108, Step: 108}},
		"d": {{Time: minute(240), From: 127, Step: 127}},
		"e": {{Time: minute(300), From: 140, Step: 140}},
	} {
		for i := range lines {
			lines[i].Phase = record.Pretraining
		}
		historytest.PutLines(f, "runs/r/metrics/attempt-"+name+"-1-000001.jsonl", lines...)
	}
	r, err := Read(t.Context(), f.Open(), "r")
	if err != nil {
		t.Fatal(err)
	}
	var how []string
	for _, a := range r.Attempts {
		how = append(how, fmt.Sprintf("%s %d-%d %s", a.Name, a.From, a.Reached, a.How))
	}
	want := []string{"a-1 108-127 stopped", "b-1 108-109 overtaken", "c-1 108-108 killed", "d-1 127-140 killed", "e-1 140-140 at work or killed"}
	if d := cmp.Diff(want, how); d != "" {
		t.Error("attempts:", d)
	}
	if lost := r.Lost(); lost != 1 {
		t.Errorf("%d updates lost, want the one of the attempt that was overtaken", lost)
	}
}

// TestStateNamesHowTheNewestAttemptEnded: stopped, at work, or without an end on record, which is
// either.
func TestStateNamesHowTheNewestAttemptEnded(t *testing.T) {
	f := historytest.New(t)
	lines := func(run string, more ...record.Attempt) {
		f.PutRecord("runs/"+run+"/run.json", historytest.Record("L200", 0))
		all := append([]record.Attempt{{Time: minute(0), Phase: pretraining}}, more...)
		historytest.PutLines(f, "runs/"+run+"/metrics/attempt-a-1-000001.jsonl", all...)
		historytest.PutLines(f, "runs/"+run+"/metrics/steps-a-1-000001.jsonl", record.Step{Phase: pretraining, Step: 20, Epoch: 1.25})
	}
	lines("stopped", record.Attempt{Time: minute(1), Phase: pretraining, Step: 20, How: record.Stopped})
	lines("killed")
	f.PutRecord("runs/begun/run.json", historytest.Record("L200", 0))
	for name, want := range map[string]string{
		"stopped": "stopped, epoch 1.2 of 200", "killed": "at work or killed, epoch 1.2 of 200", "begun": "begun",
	} {
		r, err := Read(t.Context(), f.Open(), name)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.State(); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if now := r.With(Current{}).State(); name == "killed" && now != "at work, epoch 1.2 of 200" {
			t.Errorf("as the run itself sees it: %q", now)
		}
	}
}
