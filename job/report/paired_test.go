package report

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/history/historytest"
	"github.com/cijepa/cijepa/job/report/paired"
)

// answered puts a run of a recipe of its preset that is right on some of 5,000 images.
func answered(f historytest.Bucket, name, preset string, seed int, right func(image int) bool) {
	all := make([]bool, 5000)
	for i := range all {
		all[i] = right(i)
	}
	f.PutAnswered(name, preset, seed, all)
	own := historytest.Record(preset, seed)
	own.Recipe["PredictorDepth"] = preset
	f.PutRecord("runs/"+name+"/run.json", own)
}

// textOf is the report as text, from the heading of a part on to the next one.
func textOf(t *testing.T, r *Report, heading string) string {
	t.Helper()
	var b strings.Builder
	if err := r.writeMarkdown(&b, nil); err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(b.String(), heading+"\n\n")
	part, _, _ = strings.Cut(part, "\n\n")
	return part
}

// TestTwoRunsOnTheSameImagesAreComparedByThem: two runs at 70 % and 70.9 % that disagree on a fifth
// of 5,000 images. The error of their difference is 0.63 points, and not 0.91.
func TestTwoRunsOnTheSameImagesAreComparedByThem(t *testing.T) {
	f := historytest.New(t)
	answered(f, "a", "L200", 0, func(i int) bool { return i < 3000 || i >= 4455 })                  // 3,000 and 545
	answered(f, "b", "R-U", 0, func(i int) bool { return i < 3000 || i >= 4000 && i < 4455 })       // 3,000 and 455
	answered(f, "c", "R-A05-B08", 0, func(i int) bool { return i < 3000 || i >= 4000 && i < 4500 }) // as good as b, and nearly the same
	r, err := Read(t.Context(), f.Open(), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"L200 is 0.90 points above R-A05-B08 on the same 5000 images, 95 % interval −0.31 to 2.11; they disagree on 19.1 % of them, McNemar's p is 0.15: within noise.",
		"L200 is 1.80 points above R-U on the same 5000 images, 95 % interval 0.56 to 3.04; they disagree on 20.0 % of them, McNemar's p is 0.0049: " +
			"beyond the noise of the images. With one seed each this is said of the two runs, not of their recipes.",
	}
	if d := cmp.Diff(want, r.Contrasts()); d != "" {
		t.Error(d)
	}
	wantText := `| better | than | by, points | 95 % interval | disagree, % | McNemar's p | unpaired error |
| --- | --- | --- | --- | --- | --- | --- |
| a | c | 0.90 ± 0.62 | −0.31 to 2.11 | 19.1 | 0.15 | 0.91 |
| a | b | 1.80 ± 0.63 | 0.56 to 3.04 | 20.0 | 0.0049 | 0.92 |
| c | b | 0.90 ± 0.13 | 0.63 to 1.17 | 0.9 | 5.7e-14 | 0.92 |`
	if d := cmp.Diff(wantText, textOf(t, r, "## Any two runs on the same images")); d != "" {
		t.Error(d)
	}
	files, err := r.Files()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(files, func(f File) bool { return f.Name == "pairs.csv" })
	if at < 0 || !strings.Contains(string(files[at].Data), "\na,b,5000,3000,545,455,1000,1.8,") {
		t.Errorf("pairs.csv (%d) is\n%s", at, files[max(at, 0)].Data)
	}
	var page strings.Builder
	if err := r.HTML(&page); err != nil || !strings.Contains(page.String(), `id="table-pairs"`) || !strings.Contains(page.String(), "0.56 to 3.04") {
		t.Errorf("the page has no pairs: %v", err)
	}

	level := *r
	level.Runs = slices.DeleteFunc(slices.Clone(r.Runs), func(run *history.Run) bool { return run.Name != "b" })
	twin := *level.Runs[0]
	twin.Record.Recipe = history.Recipe{"Epochs": []byte("1")}
	level.Runs = append(level.Runs, &twin)
	if got := level.Contrasts(); len(got) != 1 || !strings.Contains(got[0], " is level with ") || !strings.Contains(got[0], "disagree on 0.0 % of them, McNemar's p is 1: within noise.") {
		t.Errorf("a run and its twin: %q", got)
	}

	// Other images of the same data, and a run that has left no answers.
	for _, change := range []func(*history.Run){
		func(run *history.Run) { run.Answers.Labels[0]++ }, func(run *history.Run) { run.Answers = nil },
	} {
		for _, run := range r.Runs {
			if run.Name == "a" {
				change(run)
			}
		}
		if got := r.Contrasts(); got[0] != "L200 is 0.90 ± 0.91 points above R-A05-B08: within noise." || len(r.Pairs()) != 1 {
			t.Errorf("they are paired: %s; %+v", got, r.Pairs())
		}
	}
}

// TestRecipesAreComparedOverSeedsAndImages: recipes of three seeds, two and one. The table says how
// many seeds a recipe has, and how many it needs.
func TestRecipesAreComparedOverSeedsAndImages(t *testing.T) {
	f := historytest.New(t)
	r := rand.New(rand.NewPCG(3, 4))
	easy := make([]float64, 5000)
	for i := range easy {
		easy[i] = r.NormFloat64()
	}
	put := func(preset string, skill float64, seeds int) {
		for seed := range seeds {
			answered(f, preset+"-s"+string(rune('0'+seed)), preset, seed, func(i int) bool { return skill+easy[i]+0.3*r.NormFloat64() > 0 })
		}
	}
	put("L200", 0.55, 3)
	put("R-U", 0.5, 2)
	put("R-A05-B08", 0.3, 1)
	read := func() *Report {
		t.Helper()
		r, err := Read(t.Context(), f.Open(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	report := read()
	want := []string{
		"L200 is 8.47 points above R-A05-B08 on the same 5000 images, 95 % interval 5.94 to 10.57 over images and seeds (3 and 1): beyond noise.",
		"L200 is 1.82 points above R-U on the same 5000 images, 95 % interval 0.83 to 3.11 over images and seeds (3 and 2): beyond noise.",
	}
	if d := cmp.Diff(want, report.Contrasts()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(report.Contrasts(), read().Contrasts()); d != "" {
		t.Errorf("the same runs, read again:\n%s", d)
	}
	wantText := `| recipe | alpha | beta | seeds | which | top-1, % | spread | seeds for 1 point | cost |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| L200 | 0.5 | - | 3 | 0, 1, 2 | 70.11 ± 0.71 | 0.52 | 4 | – |
| R-A05-B08 | 0.5 | - | 1 | 0 | 61.64 ± 0.69 | – | 5 | – |
| R-U | 0.5 | - | 2 | 0, 1 | 68.29 ± 0.67 | 0.16 | 4 | – |`
	if d := cmp.Diff(wantText, textOf(t, report, "## Recipes and their seeds")); d != "" {
		t.Error(d)
	}
	var page strings.Builder
	if err := report.HTML(&page); err != nil || !strings.Contains(page.String(), "over images and seeds (3 and 2): beyond noise.") ||
		!strings.Contains(page.String(), "<td>3</td><td class=\"word\">0, 1, 2</td>") {
		t.Errorf("the page lacks the recipes: %v", err)
	}
}

// TestPairingLessensTheError: two runs at 70 % on 5,000 images that disagree on a fifth of them. On
// four images that both get right the error is not 0.
func TestPairingLessensTheError(t *testing.T) {
	for _, c := range []struct {
		table            paired.Table
		paired, unpaired float64
	}{{paired.Table{Both: 3000, First: 500, Second: 500, Neither: 1000}, 0.632, 0.917}, {paired.Table{Both: 4}, 23.570, 21.651}} {
		got := Pair{Table: c.table}.Errors()
		if math.Abs(got[0]-c.paired) > 5e-4 || math.Abs(got[1]-c.unpaired) > 5e-4 {
			t.Errorf("%+v: errors %.4f points, want %g paired and %g unpaired", c.table, got, c.paired, c.unpaired)
		}
	}
}
