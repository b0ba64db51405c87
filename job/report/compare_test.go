package report

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/job/history/historytest"
	"github.com/cijepa/cijepa/job/report/chart"
)

// TestRowsHaveMeanErrorAndVerdict, against numbers computed by hand.
func TestRowsHaveMeanErrorAndVerdict(t *testing.T) {
	f := historytest.New(t)
	f.PutFinished("R-A05-B08-s0", "R-A05-B08", 0, 69)
	f.PutFinished("R-A05-B08-s1", "R-A05-B08", 1, 71)
	f.PutFinished("L200-s0", "L200", 0, 50)
	r, err := Read(t.Context(), f.Open(), references)
	if err != nil {
		t.Fatal(err)
	}
	rows := r.Rows()
	images := 100 * math.Sqrt(0.7*0.3/5000)
	two := rows[1]
	if se := math.Hypot(images, 1); two.Runs != 2 || *two.Mean != 70 || math.Abs(*two.Error-se) > 1e-9 { // deviation sqrt(2), over sqrt(2)
		t.Errorf("two seeds: %d runs, mean %g ± %g, want 70 ± %g", two.Runs, *two.Mean, *two.Error, se)
	}
	if !strings.HasPrefix(two.Verdict, "Within noise: 0.06") {
		t.Errorf("70 against 70.06: %q", two.Verdict)
	}
	if low := rows[0]; !strings.HasPrefix(low.Verdict, "Below the post's by more than noise: 14.04") || math.Abs(*low.Difference+14.04) > 1e-9 {
		t.Errorf("50 against 64.04: %q", low.Verdict)
	}
	if d := cmp.Diff([]string{"R-A05-B08 is 20.00 ± 1.39 points above L200: more than noise."}, r.Contrasts()); d != "" {
		t.Error(d)
	}
	r.Runs[0].Result.PostTop1 = nil
	if row := r.Rows()[0]; row.Difference != nil || *row.Mean != 50 || row.Verdict != "Not to be compared with the post's figure: other data." {
		t.Errorf("other data was compared with the post's: %q", row.Verdict)
	}
}

// TestOtherRecipesAreNotComparedWithThePost, nor averaged with the runs that are.
func TestOtherRecipesAreNotComparedWithThePost(t *testing.T) {
	f := historytest.New(t)
	f.PutFinished("R-A05-B08-s0", "R-A05-B08", 0, 69)
	f.PutFinished("R-A05-B08-s1", "R-A05-B08", 1, 71)
	f.PutFinished("short", "R-A05-B08", 0, 30)
	f.PutFinished("hot", "R-A05-B08", 2, 70)
	f.PutFinished("elsewhere", "R-A05-B08", 0, 90)
	f.PutFinished("narrow", "R-A05-B08", 0, 20)
	change := func(name string, recipe func(map[string]any)) {
		other := historytest.Record("R-A05-B08", 2)
		recipe(other.Recipe)
		f.PutRecord("runs/"+name+"/run.json", other)
	}
	change("short", func(r map[string]any) { r["Epochs"] = 3 })
	change("hot", func(r map[string]any) { r["PeakLR"], r["MicroBatch"] = 0.1, 64 })
	change("narrow", func(r map[string]any) { r["CropScale"] = []float64{0.5, 1} })
	change("R-A05-B08-s1", func(r map[string]any) { r["MicroBatch"] = 128 }) // a smaller card
	other := historytest.Record("R-A05-B08", 0)
	other.Fingerprint = "other data"
	f.PutRecord("runs/elsewhere/run.json", other)
	r, err := Read(t.Context(), f.Open(), references)
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range r.Runs {
		if run.Name == "elsewhere" {
			run.Result.PostTop1 = nil
		}
	}
	row := r.Rows()[1]
	if row.Runs != 3 || *row.Mean != 70 {
		t.Errorf("the mean of %d runs is %g, want 70 of 3", row.Runs, *row.Mean)
	}
	for _, want := range []string{
		"Left out: 3 with ", "epochs 3 instead of 200", "CIJEPA_CROP_SCALE 0.5,1 instead of 0.3,1", "other data",
		"The runs differ in more than their seed: CIJEPA_PEAK_LR.",
	} {
		if !strings.Contains(row.Verdict, want) {
			t.Errorf("%q lacks %q", row.Verdict, want)
		}
	}
	want := []string{ // nothing is said of runs on other data
		"R-A05-B08 is 0.00 ± 1.36 points above hot: within noise.",
		"R-A05-B08 is 50.00 ± 1.32 points above narrow: more than noise.",
		"R-A05-B08 is 40.00 ± 1.36 points above short: more than noise.",
	}
	if d := cmp.Diff(want, r.Contrasts()); d != "" {
		t.Error(d)
	}
}

// TestDifferencesAreTheSettingsThatDiffer and no others.
func TestDifferencesAreTheSettingsThatDiffer(t *testing.T) {
	f := historytest.New(t)
	f.PutFinished("a", "L200", 0, 50)
	f.PutFinished("b", "L200", 7, 50)
	r, err := Read(t.Context(), f.Open(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Difference{{"CIJEPA_SEED", []string{"0", "7"}}}, r.Differences()); d != "" {
		t.Error(d)
	}
}

// TestAlphaBetaMapNeedsSeveralWeights of the deepest target.
func TestAlphaBetaMapNeedsSeveralWeights(t *testing.T) {
	f := historytest.New(t)
	f.PutFinished("a", "R-A05-B05", 0, 50)
	r, err := Read(t.Context(), f.Open(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.alphaBeta() != nil {
		t.Error("a map of one cell")
	}
	other := historytest.Record("R-U", 0)
	f.PutFinished("b", "R-U", 0, 60)
	other.Recipe["AllToLastWeight"] = 0.8
	f.PutRecord("runs/b/run.json", other)
	if r, err = Read(t.Context(), f.Open(), nil); err != nil {
		t.Fatal(err)
	}
	h := r.alphaBeta()
	if h == nil {
		t.Fatal("no map")
	}
	if d := cmp.Diff([][]string{{"50.00", "–"}, {"–", "60.00"}}, texts(h)); d != "" { // beta, not set, takes alpha's
		t.Error(d)
	}
}

func texts(h *chart.HeatMap) [][]string {
	var all [][]string
	for _, row := range h.Cells() {
		var line []string
		for _, c := range row {
			line = append(line, c.Text)
		}
		all = append(all, line)
	}
	return all
}

// TestPostsTableIsForRunsThatCanStandInIt: a page of other runs has none of its rows, and begins
// with the runs that are there.
func TestPostsTableIsForRunsThatCanStandInIt(t *testing.T) {
	for preset, want := range map[string]int{"demo": 0, "L200": len(references)} {
		f := historytest.New(t)
		f.PutFinished("a", preset, 0, 50)
		f.PutFinished("b", preset, 1, 51)
		r, err := Read(t.Context(), f.Open(), references)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(r.PostRows()); got != want {
			t.Errorf("runs of %s: %d rows of the post's table, want %d", preset, got, want)
		}
		var page, text strings.Builder
		if err := errors.Join(r.HTML(&page), r.writeMarkdown(&text, nil)); err != nil {
			t.Fatal(err)
		}
		for _, of := range []struct{ text, first, post string }{
			{page.String(), `<h2 id="runs">`, `<h2 id="post">`}, {text.String(), "## All runs", "## The post's table"},
		} {
			_, head, _ := strings.Cut(of.text, "<main")
			if head == "" {
				head = of.text
			}
			runs, table := strings.Index(head, of.first), strings.Index(head, of.post)
			if runs < 0 || (table >= 0) != (want > 0) || table >= 0 && table < runs {
				t.Errorf("runs of %s: %q at %d, %q at %d", preset, of.first, runs, of.post, table)
			}
		}
	}
}
