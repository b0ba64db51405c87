package report

import (
	"math"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/history/historytest"
)

// TestRunsThatDifferBySeedAloneAreOneRow, with numbers computed by hand.
func TestRunsThatDifferBySeedAloneAreOneRow(t *testing.T) {
	f := historytest.New(t)
	f.PutFinished("a", "R-A05-B08", 0, 69)
	f.PutFinished("b", "R-A05-B08", 7, 71)
	f.PutFinished("L200-s0", "L200", 0, 50)
	r, err := Read(t.Context(), f.Open(), references)
	if err != nil {
		t.Fatal(err)
	}
	one, two := 1.5, 2.5
	for _, run := range r.Runs {
		if run.Name == "a" {
			run.Result.Stats.Cost = &one
		} else if run.Name == "b" {
			run.Result.Stats.Cost = &two
		}
	}
	all := r.Seeds()
	if len(all) != 2 || all[0].Recipe != "L200" || all[0].Runs != 1 || all[0].Spread != nil {
		t.Fatalf("%d rows: %+v", len(all), all)
	}
	s, noise := all[1], math.Hypot(100*math.Sqrt(0.7*0.3/5000), 1)
	if s.Recipe != "R-A05-B08" || s.Runs != 2 || s.Seeds != "0, 7" || s.Needed != "–" || *s.Mean != 70 || math.Abs(*s.Error-noise) > 1e-9 || math.Abs(*s.Spread-math.Sqrt2) > 1e-9 || *s.Cost != 4 {
		t.Errorf("%s, seeds %s: %g ± %g, spread %g, cost %g", s.Recipe, s.Seeds, *s.Mean, *s.Error, *s.Spread, *s.Cost)
	}
	var text strings.Builder
	if err := r.writeMarkdown(&text, nil); err != nil || !strings.Contains(text.String(), "| 2 | 0, 7 | 70.00 ± 1.19 | 1.41 | – | 4.00 |") {
		t.Errorf("%v\n%s", err, text.String())
	}
}
