package report

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/history/historytest"
	"github.com/cijepa/cijepa/job/record"
)

// TestRunWithoutScoresHasNoFigure: a run on data without labels stands in the tables with its loss
// and dashes, and in no mean and no comparison of top-1.
func TestRunWithoutScoresHasNoFigure(t *testing.T) {
	f := historytest.New(t)
	f.PutFinished("scored", "L200", 0, 50)
	f.PutFinished("plain", "L200", 1, 0)
	f.PutRecord("runs/plain/result.json", record.Result[map[string]any]{
		Version: record.Version, Run: "plain", Preset: "L200", Data: record.Data{TrainSamples: 4000, ValidationSamples: 500},
		Metrics: record.Metrics{Loss: historytest.Value(0.5), Table: historytest.Table(4, 0.5)},
	})
	r, err := Read(t.Context(), f.Open(), references)
	if err != nil {
		t.Fatal(err)
	}
	if r.Finished() != 2 || r.Problems() != 0 {
		t.Fatalf("%d finished, %d problems", r.Finished(), r.Problems())
	}
	for _, row := range r.Rows() {
		if row.Preset == "L200" && (row.Runs != 1 || *row.Mean != 50) {
			t.Errorf("the mean of %d runs is %v", row.Runs, *row.Mean)
		}
	}
	if plain := r.Runs[slices.IndexFunc(r.Runs, func(run *history.Run) bool { return run.Name == "plain" })]; plain.Judge() != "" {
		t.Errorf("it is judged: %s", plain.Judge())
	}
	if s := r.Seeds(); len(s) != 1 || s[0].Runs != 1 || len(r.Contrasts()) > 0 || r.alphaBeta() != nil {
		t.Errorf("compared: %v, %v", s, r.Contrasts())
	}
	files, err := r.Files()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"report.html": "4000 training and 500 validation images without labels: there is no probe and no figure",
		"report.md":   "| plain | L200 | 1 | finished | – | – | – | – |",
		"runs.csv":    "plain,L200,finished,,,,,,",
	}
	for _, file := range files {
		if text := want[file.Name]; !strings.Contains(string(file.Data), text) {
			t.Errorf("%s has no %q", file.Name, text)
		}
	}
	var listing bytes.Buffer
	if err := r.WriteListing(&listing); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(listing.String(), "plain   finished  –             –          –    –") {
		t.Errorf("figures in\n%s", &listing)
	}
}
