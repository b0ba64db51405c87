package history

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/history/historytest"
	"github.com/cijepa/cijepa/job/record"
)

// TestLinesOutOfBoundsAreDamaged: a number or a table that no run writes is left out and reported,
// and the other lines are read.
func TestLinesOutOfBoundsAreDamaged(t *testing.T) {
	row := "[" + strings.Repeat("1,", maxDepths) + "1]"
	large := "[" + strings.Repeat(row+",", maxDepths) + row + "]" // square, and each value is good
	bad := map[string][]string{
		record.Steps: {
			`{"phase":"pretrain","step":2,"loss":1e17}`,
			`{"phase":"pretrain","step":2,"loss":1e400}`,
			`{"phase":"pretrain","step":2,"epoch":-1e306}`,
			`{"phase":"pretrain","step":2,"images_per_second":1e13}`,
			`{"phase":"pretrain","step":2,"table":[[1,1e306],[-1e306,1]]}`,
			`{"phase":"pretrain","step":2,"table":[[1,2],[3]]}`,
			`{"phase":"pretrain","step":2,"table":[` + strings.Repeat("[],", 999) + `[]]}`,
			`{"phase":"pretrain","step":2,"table":` + large + `}`,
		},
		"steps-b": {
			`{"phase":"elsewhere","step":2}`, `{"phase":"pretrain","step":-2}`, `{"phase":"pretrain","step":9000000000000000000}`,
			`{"phase":"pretrain","step":2,"skipped_updates":-1}`, `{"phase":"pretrain","step":2,"pathway_updates":[-9000000000000000000]}`,
			`{"phase":"pretrain","step":2,"pathway_updates":[` + strings.Repeat("1,", 999) + `1]}`,
		},
		record.Attempts: {
			`{"phase":"pretrain","from":-1}`, `{"phase":"pretrain","step":9000000000000000000}`, `{"phase":"pretrain","saved":-5}`,
			`{"phase":"pretrain","how":"` + strings.Repeat("x", 5000) + `"}`,
		},
		record.Healths: {
			`{"step":2,"depths":[1],"feature_std":[1e13]}`,
			`{"step":2,"depths":[` + strings.Repeat("1,", 99) + `1]}`,
			`{"step":2,"epoch":9000000000000000000}`,
		},
		record.Evals:  {`{"step":2,"probe_top1":1e13}`, `{"step":2,"epoch":-9000000000000000000}`},
		record.Alarms: {`{"step":2,"epoch":1e300}`, `{"step":-1}`, `{"step":2,"text":"` + strings.Repeat("x", 5000) + `"}`},
	}
	f := historytest.New(t)
	f.PutRecord("runs/r/run.json", historytest.Record("L200", 0))
	for kind, lines := range bad {
		good := `{"step":1,"phase":"pretrain","depths":[1]}`
		f.Put("runs/r/metrics/"+kind+"-a-1-000001.jsonl", []byte(strings.Join(append(lines, good), "\n")))
	}
	run, err := Read(t.Context(), f.Open(), "r")
	if err != nil {
		t.Fatal(err)
	}
	if len(run.Attempts) != 1 || len(run.Steps) != 1 || len(run.Health) != 1 || len(run.Evals) != 1 || len(run.Alarms) != 1 {
		t.Errorf("%d steps, %d of health, %d evaluations, %d alarms, want one each", len(run.Steps), len(run.Health), len(run.Evals), len(run.Alarms))
	}
	problems := strings.Join(run.Problems, "\n")
	for kind, lines := range bad {
		if want := fmt.Sprintf("%s-a-1-000001.jsonl has %d damaged lines", kind, len(lines)); !strings.Contains(problems, want) {
			t.Errorf("problems %q lack %q", problems, want)
		}
	}
}

// TestResultsOutOfBoundsAreDamaged, and the run is read without a result.
func TestResultsOutOfBoundsAreDamaged(t *testing.T) {
	for name, spoil := range map[string]func(*record.Metrics){
		"no loss":             func(m *record.Metrics) { m.Loss = historytest.Value(1e17) },
		"no count":            func(m *record.Metrics) { m.Updates = -1 },
		"no depths":           func(m *record.Metrics) { m.Depths = nil },
		"no labels":           func(m *record.Metrics) { *m = record.Metrics{Loss: m.Loss} },
		"too many depths":     func(m *record.Metrics) { m.Depths = make([]record.DepthMetrics, 1000) },
		"no depth":            func(m *record.Metrics) { m.Depths[0].Depth = -1 },
		"no percentage":       func(m *record.Metrics) { m.Top1 = 1e17 },
		"one below zero":      func(m *record.Metrics) { m.Depths[0].UntrainedTop1 = -1 },
		"too large a table":   func(m *record.Metrics) { m.Table = historytest.Table(1000, 1) },
		"too large an entry":  func(m *record.Metrics) { m.Table[0][0] = historytest.Value(1e306) },
		"a table of one line": func(m *record.Metrics) { m.Table = m.Table[:1] },
	} {
		f := historytest.New(t)
		f.PutRecord("runs/r/run.json", historytest.Record("L200", 0))
		result := Result{Version: record.Version, Data: record.Data{Classes: 2}, Metrics: record.Metrics{
			Depths: make([]record.DepthMetrics, 2), Table: historytest.Table(2, 1),
		}}
		spoil(&result.Metrics)
		f.PutRecord("runs/r/result.json", result)
		run, err := Read(t.Context(), f.Open(), "r")
		if err != nil {
			t.Fatal(err)
		}
		if run.Result != nil || !run.Damaged || len(run.Problems) != 1 {
			t.Errorf("%s: problems %q", name, run.Problems)
		}
	}
}

// TestMoreThanARunWritesIsLeftOut and reported: objects, alarms, records and results without end.
// The others of the bucket are read.
func TestMoreThanARunWritesIsLeftOut(t *testing.T) {
	f := historytest.New(t)
	f.PutFinished("good", "L200", 0, 50)
	f.PutRecord("runs/r/run.json", historytest.Record("L200", 0))
	f.PutRecord("runs/long/run.json", record.RunRecord[map[string]any]{Version: record.Version, Recipe: map[string]any{"Seed": strings.Repeat("x", 5000)}})
	f.Put("runs/large/run.json", make([]byte, maxRecord+1))
	if err := os.Mkdir(f.Path("runs/r/metrics"), 0o777); err != nil {
		t.Fatal(err)
	}
	large, err := os.Create(f.Path("runs/r/metrics/steps-a-1-000001.jsonl"))
	if err == nil {
		err = errors.Join(large.Truncate(maxMetricsObject+1), large.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Put("runs/r/metrics/steps-a-1-000002.jsonl", []byte(`{"phase":"pretrain","step":7}`))
	var alarms strings.Builder
	for i := range maxLines(record.Alarms) + 5 {
		fmt.Fprintf(&alarms, "{\"step\":%d}\n", i)
	}
	f.Put("runs/r/metrics/alarms-a-1-000001.jsonl", []byte(alarms.String()))
	runs, _, unreadable, err := ReadAll(t.Context(), f.Open())
	if err != nil || len(runs) != 2 || len(unreadable) != 2 || unreadable[0].Run != "large" || unreadable[1].Run != "long" {
		t.Fatalf("%d runs, unreadable %v: %v", len(runs), unreadable, err)
	}
	r := runs[1]
	if len(r.Steps) != 1 || len(r.Alarms) != maxLines(record.Alarms) || len(r.Problems) != 2 {
		t.Errorf("%d steps, %d alarms, problems %q", len(r.Steps), len(r.Alarms), r.Problems)
	}
}
