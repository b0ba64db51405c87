package history

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/job/history/historytest"
	"github.com/cijepa/cijepa/job/record"
)

// TestReadAllReadsWhatCanBeRead of finished, stopped, killed and damaged runs.
func TestReadAllReadsWhatCanBeRead(t *testing.T) {
	f := historytest.New(t)
	f.PutFinished("R-A05-B08-s0", "R-A05-B08", 0, 69)
	f.PutFinished("L200-s0", "L200", 0, 50)
	f.Put("runs/broken/run.json", []byte(`{"version": 2, "pre`))
	f.Put("runs/older/run.json", []byte(`{"version": 99}`))
	f.Put("runs/nothing/state/pretrain-1-a/x", nil)
	f.Put("imagenet-100/index.json", []byte(`{}`))
	f.PutInterrupted("L200")
	runs, _, failed, err := ReadAll(t.Context(), f.Open())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, run := range runs {
		names = append(names, run.Name)
	}
	if d := cmp.Diff([]string{"L200-s0", "R-A05-B08-s0", "open"}, names); d != "" {
		t.Error("runs:", d)
	}
	var unreadable []string
	for _, u := range failed {
		unreadable = append(unreadable, u.Run)
		if !strings.Contains(u.Why, "runs/"+u.Run+"/run.json") {
			t.Errorf("%s: %q does not name the object", u.Run, u.Why)
		}
	}
	if d := cmp.Diff([]string{"broken", "nothing", "older"}, unreadable); d != "" {
		t.Error("unreadable:", d)
	}

	open := runs[2]
	if len(open.Problems) != 1 || !strings.Contains(open.Problems[0], "steps-b-third-3-000001.jsonl") {
		t.Errorf("problems %q, want the one damaged line", open.Problems)
	}
	var losses []float64
	for _, s := range open.Steps {
		losses = append(losses, *s.Loss)
	}
	if d := cmp.Diff([]float64{1, 2, 4}, losses); d != "" {
		t.Error("of lines with one step the newest attempt's must count:", d)
	}
	if len(open.Probe) != 1 || open.State() != "at work or killed, in the probe" {
		t.Errorf("%d lines of the probe, state %q", len(open.Probe), open.State())
	}
	var how []string
	for _, a := range open.Attempts {
		how = append(how, fmt.Sprintf("%s %d-%d %s", a.Name, a.From, a.Reached, a.How))
	}
	if d := cmp.Diff([]string{"first-1 0-30 stopped", "a-second-2 30-60 killed", "b-third-3 40-60 at work or killed"}, how); d != "" {
		t.Error("attempts:", d)
	}
	if open.Lost() != 20 {
		t.Errorf("%d updates lost, want 20: the second attempt came to 60, the third began from 40", open.Lost())
	}
	if len(open.Alarms) != 2 {
		t.Errorf("%d alarms, want 2: one was raised twice over the same update", len(open.Alarms))
	}
}

// TestReadAttemptsReadsNoMoreThanItNeeds: the attempts and their lost updates are those of the
// whole run, and of the lines of steps only those of killed attempts are read.
func TestReadAttemptsReadsNoMoreThanItNeeds(t *testing.T) {
	f := historytest.New(t)
	f.PutInterrupted("L200")
	run, err := Read(t.Context(), f.Open(), "open")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"steps-first-1", "steps-b-third-3", "alarms-a-second-2", "alarms-b-third-3"} {
		unreadable := f.Path("runs/open/metrics/" + kind + "-000001.jsonl")
		if err := os.Remove(unreadable); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(unreadable, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	attempts, err := ReadAttempts(t.Context(), f.Open(), "open")
	if err != nil {
		t.Fatal(err)
	}
	if len(attempts) != len(run.Attempts) || Lost(attempts) != run.Lost() {
		t.Errorf("%d attempts with %d lost updates, want %d with %d", len(attempts), Lost(attempts), len(run.Attempts), run.Lost())
	}
}

// TestCurrentLinesReplaceOlderOnes of the same update, in a copy of the run.
func TestCurrentLinesReplaceOlderOnes(t *testing.T) {
	f := historytest.New(t)
	f.PutInterrupted("L200")
	before, err := Read(t.Context(), f.Open(), "open")
	if err != nil {
		t.Fatal(err)
	}
	value := historytest.Value
	run := before.With(Current{
		Steps: []record.Step{
			{Phase: "pretrain", Step: 60, Loss: value(7)}, {Phase: "pretrain", Step: 70, Loss: value(8)}, {Phase: "probe", Step: 9},
		},
		Alarms: []record.Alarm{{Step: 80, Alarm: record.AlarmRank}}, Evals: []record.Eval{{Step: 70}},
	})
	if n := len(run.Steps); n != 4 || *run.Steps[2].Loss != 7 || *run.Steps[3].Loss != 8 {
		t.Errorf("%d lines of pretraining", n)
	}
	if len(run.Probe) != 2 || len(run.Evals) != 1 || len(run.Alarms) != 3 {
		t.Errorf("%d lines of the probe, %d evaluations, %d alarms", len(run.Probe), len(run.Evals), len(run.Alarms))
	}
	if a := run.Attempts; a[2].How != "at work" || a[2].Reached != 70 {
		t.Errorf("the newest attempt is %q and came to %d", a[2].How, a[2].Reached)
	}
	if before.Attempts[2].Reached != 60 || len(before.Steps) != 3 {
		t.Error("the run that was read has changed")
	}
}

// TestResultStandsInForAMissingRecord: a finished run is read even if its run.json was deleted.
func TestResultStandsInForAMissingRecord(t *testing.T) {
	f := historytest.New(t)
	f.PutFinished("L200-s0", "L200", 0, 50)
	text, err := os.ReadFile(f.Path("runs/L200-s0/result.json"))
	if err != nil {
		t.Fatal(err)
	}
	var result map[string]any
	if err := json.Unmarshal(text, &result); err != nil {
		t.Fatal(err)
	}
	delete(result, "sha256")
	result["recipe"] = historytest.Record("L200", 0).Recipe
	f.PutRecord("runs/L200-s0/result.json", result)
	if err := os.Remove(f.Path("runs/L200-s0/run.json")); err != nil {
		t.Fatal(err)
	}
	run, err := Read(t.Context(), f.Open(), "L200-s0")
	if err != nil {
		t.Fatal(err)
	}
	if run.Preset != "L200" || run.Setting("Epochs") != "200" || len(run.Problems) != 1 || !strings.Contains(run.Problems[0], "run.json is not there") {
		t.Errorf("%+v, problems %q", run.Record, run.Problems)
	}
}

// editResult changes the result of a run.
func editResult(t *testing.T, f historytest.Bucket, run string, edit func(r *record.Result[map[string]any])) {
	t.Helper()
	key := "runs/" + run + "/result.json"
	text, err := os.ReadFile(f.Path(key))
	if err != nil {
		t.Fatal(err)
	}
	var result record.Result[map[string]any]
	if err := record.Unseal(text, &result); err != nil {
		t.Fatal(err)
	}
	edit(&result)
	f.PutRecord(key, result)
}

// TestCopyOfTheRecordsAloneKeepsItsCounts: run.json and result.json, as they are published without
// metrics and pictures, still tell how often the run was started and killed, and what it lost.
func TestCopyOfTheRecordsAloneKeepsItsCounts(t *testing.T) {
	f := historytest.New(t)
	f.PutPictured("a", "L200", 0, 50)
	editResult(t, f, "a", func(r *record.Result[map[string]any]) {
		r.Stats.Attempts, r.Stats.UpdatesLost, r.Stats.Killed = 4, 30, 2
	})
	for _, name := range []string{"metrics", record.ComponentsFile, record.NeighboursFile} {
		if err := os.RemoveAll(f.Path("runs/a/" + name)); err != nil {
			t.Fatal(err)
		}
	}
	run, err := Read(t.Context(), f.Open(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if len(run.Attempts) != 0 || run.Starts() != 4 || run.Lost() != 30 || run.Killed() != 2 || len(run.Problems) > 0 || !run.RecordsAlone {
		t.Errorf("%d attempts on record, %d counted, %d updates lost, %d killed, problems %q",
			len(run.Attempts), run.Starts(), run.Lost(), run.Killed(), run.Problems)
	}
}

// TestSettingsAreWrittenAsTyped, whatever their type.
func TestSettingsAreWrittenAsTyped(t *testing.T) {
	f := historytest.New(t)
	f.PutFinished("a", "L200", 0, 50)
	run, err := Read(t.Context(), f.Open(), "a")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Depths": "1-3,5", "AllToLastWeight": "0.5", "LastToLastWeight": "-", "CropScale": "0.3,1",
		"Data": "imagenet-100", "None": "",
	} {
		if got := run.Setting(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}
