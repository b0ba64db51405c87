package report

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/job/history/historytest"
)

// TestListingHasALineForEachRun in aligned columns, and no control characters of a bucket.
func TestListingHasALineForEachRun(t *testing.T) {
	f := historytest.New(t)
	f.PutFinished("L200-s0", "L200", 0, 50)
	f.PutInterrupted("demo")
	r, err := Read(t.Context(), f.Open(), references)
	if err != nil {
		t.Fatal(err)
	}
	knn, untrained := 40.0, 44.5
	for _, run := range r.Runs {
		if run.Result != nil {
			run.Result.Metrics.KNNTop1, run.Result.Metrics.UntrainedKNN = &knn, &untrained
			run.Result.Metrics.UntrainedTop1, run.Result.Metrics.StandardError = 32, 0.71
		} else {
			run.Name = "open\x1b[2J"
		}
	}
	var text strings.Builder
	if err := r.WriteListing(&text); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"run          state                            top-1         untrained  kNN    untrained  hours  alarms",
		"L200-s0      finished                         50.00 ± 0.71  32.00      40.00  44.50      2.00   0",
		`open\x1b[2J  at work or killed, in the probe  –             –          –      –          –      2`,
	}
	got := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	for i := range got {
		got[i] = strings.TrimRight(got[i], " ")
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
