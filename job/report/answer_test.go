package report

import (
	"bytes"
	"encoding/csv"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/history/historytest"
	"github.com/cijepa/cijepa/job/report/chart"
)

// experiments is the report of five finished runs of the same preset: three seeds of one recipe and
// two of another, of which one does not beat its untrained self by kNN. A sixth was killed.
func experiments(t *testing.T) *Report {
	t.Helper()
	f := historytest.New(t)
	for seed, name := range []string{"a0", "a1", "a2"} {
		f.PutFinished(name, "demo", seed, 60+float64(seed))
	}
	for seed, name := range []string{"plain-s0", "plain-s1"} {
		f.PutFinished(name, "demo", seed, 40)
		other := historytest.Record("demo", seed)
		other.Recipe["PeakLR"], other.Recipe["FinalLR"] = 0.5, 0.00030000000000000003
		f.PutRecord("runs/"+name+"/run.json", other)
	}
	f.PutInterrupted("demo")
	r, err := Read(t.Context(), f.Open(), references)
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range r.Runs {
		if run.Result == nil {
			continue
		}
		knn, untrained := 50.0, 45.0
		if run.Name == "plain-s1" {
			knn = 40
		}
		m := &run.Result.Metrics
		m.UntrainedTop1, m.KNNTop1, m.UntrainedKNN, m.StandardError = 30, &knn, &untrained, 0.69
	}
	return r
}

// TestReportAnswersFirst: page and text begin with the best finished run, its error, its gain over
// its untrained self by both measures, and which recipes differ; then with what has not finished.
func TestReportAnswersFirst(t *testing.T) {
	r := experiments(t)
	want := []string{
		"a2 is the best of 5 finished runs: 62.00 ± 0.69 % top-1 by a linear probe on the frozen teacher, 50.00 % by kNN.",
		"Over its own untrained self: +32.00 ± 0.94 points by linear probe (30.00 to 62.00 %), +5.00 ± 1.00 points by kNN (45.00 to 50.00 %).",
		"Its recipe has been run with 3 seeds: 61.00 ± 0.90 % on average.",
	}
	answers := r.Answers()
	if len(answers) != 1 {
		t.Fatalf("%d answers of runs on the same data", len(answers))
	}
	if d := cmp.Diff(want, answers[0].sentences()); d != "" {
		t.Error(d)
	}
	var page, text strings.Builder
	if err := errors.Join(r.HTML(&page), r.writeMarkdown(&text, nil)); err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(strings.ReplaceAll(page.String(), "\u00a0", " "), "<main")
	for _, of := range []struct {
		text  string
		order []string
	}{
		{body, []string{"is the best of 5", "Over its own untrained self", "a0 is 21.00 ± 1.14 points above plain: more than noise.", "1 run has no result: open (at work or killed, in the probe).", `<h2 id="runs">`}},
		{text.String(), []string{"a2 is the best of 5", "Over its own untrained self", "a0 is 21.00 ± 1.14 points above plain: more than noise.", "1 run has no result: open (at work or killed, in the probe).", "## All runs"}},
	} {
		at := 0
		for _, s := range of.order {
			next := strings.Index(of.text[at:], s)
			if next < 0 {
				t.Errorf("no %q behind %q", s, of.text[max(0, at-200):at])
				break
			}
			at += next
		}
	}
}

// TestPageOpensOnTheBestRun, and shows no other one before its reader asks for it.
func TestPageOpensOnTheBestRun(t *testing.T) {
	var page strings.Builder
	if err := experiments(t).HTML(&page); err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile(`<section class="run" data-run="([^"]*)"`).FindAllStringSubmatch(page.String(), -1)
	hidden := strings.Count(page.String(), `<section class="run" hidden`)
	if len(shown) != 1 || shown[0][1] != "a2" || hidden != 5 || !strings.Contains(page.String(), `<option value="a2" selected>`) {
		t.Errorf("%q are shown, %d hidden", shown, hidden)
	}
}

// TestRunsOnOtherDataHaveAnAnswerOfTheirOwn.
func TestRunsOnOtherDataHaveAnAnswerOfTheirOwn(t *testing.T) {
	r := experiments(t)
	for _, run := range r.Runs {
		if strings.HasPrefix(run.Name, "plain") {
			run.Record.Fingerprint = "0123456789abcdef"
		}
	}
	var got []string
	for _, a := range r.Answers() {
		got = append(got, a.Best.Name+" "+a.Headline[strings.LastIndex(a.Headline, " Data:")+1:])
	}
	if d := cmp.Diff([]string{"a2 Data: imagenet-100, sha256 data.", "plain-s0 Data: imagenet-100, sha256 01234567."}, got); d != "" {
		t.Error(d)
	}
	if r.Runs = nil; len(r.Answers()) != 0 || r.WithoutResult() != "" {
		t.Error("a bucket without runs has an answer")
	}
}

// TestRunThatDoesNotBeatItsUntrainedSelfSaysSo on its part of the page and in the table for other
// programs, and no other run does.
func TestRunThatDoesNotBeatItsUntrainedSelfSaysSo(t *testing.T) {
	const sentence = "Against the untrained encoder, pretraining lost by kNN (40.00 against 45.00 %, -5.00 ± 0.99 points)."
	r := experiments(t)
	var page, table bytes.Buffer
	if err := errors.Join(r.HTML(&page), r.writeCSV(&table)); err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(strings.ReplaceAll(page.String(), "\u00a0", " "), `data-run="plain-s1"`)
	part, _, _ = strings.Cut(part, "</section>")
	const said = "pretraining lost by kNN (40.00 against 45.00 %"
	if !strings.Contains(part, said) || strings.Count(page.String(), "Against the untrained encoder") != 1 {
		t.Errorf("%d parts of the page say so", strings.Count(page.String(), "Against the untrained encoder"))
	}
	rows, err := csv.NewReader(&table).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	got := map[string][]string{}
	for _, row := range rows[1:] {
		var cells []string
		for _, name := range []string{"verdict", "untrained_knn_top1", "killed_attempts", "CIJEPA_FINAL_LR"} {
			cells = append(cells, row[column[name]])
		}
		got[row[0]] = cells
	}
	want := map[string][]string{
		"a0": {"", "45", "0", ""}, "a1": {"", "45", "0", ""}, "a2": {"", "45", "0", ""},
		"plain-s0": {"", "45", "0", "0.0003"}, "plain-s1": {sentence, "45", "0", "0.0003"}, "open": {"", "", "1", ""},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestUpdatesLostByAKillAreALowerBound on the page and in the text.
func TestUpdatesLostByAKillAreALowerBound(t *testing.T) {
	r := experiments(t)
	var page, text strings.Builder
	if err := errors.Join(r.HTML(&page), r.writeMarkdown(&text, nil)); err != nil {
		t.Fatal(err)
	}
	if want := `<td data-value="20">≥ 20</td>`; !strings.Contains(page.String(), want) {
		t.Errorf("the table of all runs has no %s", want)
	}
	if want := "≥ 20 updates lost, 1 killed"; !strings.Contains(page.String(), want) {
		t.Errorf("the part of the run has no %q", want)
	}
	if want := "| ≥ 20 |"; !strings.Contains(text.String(), want) {
		t.Errorf("the text has no %q", want)
	}
}

// TestLinesHaveAColourForEachRecipe and dashes for its seeds, though all runs start from the same
// preset.
func TestLinesHaveAColourForEachRecipe(t *testing.T) {
	r := experiments(t)
	c := r.compare(chart.Chart{}, func(run *history.Run) []chart.Point { return []chart.Point{{X: 1, Y: 1}} })
	got := map[string][2]int{}
	for _, l := range c.Lines {
		got[l.Name] = [2]int{l.Colour, l.Dash}
	}
	want := map[string][2]int{"a0": {0, 0}, "a1": {0, 1}, "a2": {0, 2}, "plain-s0": {1, 0}, "plain-s1": {1, 1}, "open": {0, 0}} // the fourth seed of a0's recipe
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestSettingsAreShownByTheirVariables: what one types, and in no file a field of the program.
func TestSettingsAreShownByTheirVariables(t *testing.T) {
	files, err := experiments(t).Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasPrefix(f.Name, "report.") && f.Name != "runs.csv" {
			continue
		}
		for _, field := range []string{"PeakLR", "FinalLR", "AllToLastWeight", "00000003"} {
			if bytes.Contains(f.Data, []byte(field)) {
				t.Errorf("%s has %q", f.Name, field)
			}
		}
		if !bytes.Contains(f.Data, []byte("CIJEPA_PEAK_LR")) {
			t.Errorf("%s has no CIJEPA_PEAK_LR", f.Name)
		}
	}
}

// TestPostsTableIsFoldedAwayWhereNoRunCanStandInIt: its presets are changed, or its data is other.
func TestPostsTableIsFoldedAwayWhereNoRunCanStandInIt(t *testing.T) {
	f := historytest.New(t)
	f.PutFinished("a", "L200", 0, 50)
	f.PutFinished("b", "L200", 1, 50)
	r, err := Read(t.Context(), f.Open(), references)
	if err != nil {
		t.Fatal(err)
	}
	for _, folded := range []bool{false, true} {
		for _, run := range r.Runs {
			if folded {
				run.Result.PostTop1 = nil
			}
		}
		var page, text strings.Builder
		if err := errors.Join(r.HTML(&page), r.writeMarkdown(&text, nil)); err != nil {
			t.Fatal(err)
		}
		fold, table, charts := strings.Index(page.String(), `<details class="fold">`), strings.Index(page.String(), `<h2 id="post">`), strings.Index(page.String(), `<h2 id="charts">`)
		if (fold >= 0) != folded || table < 0 || (table > charts) != folded || folded && fold > table {
			t.Errorf("folded %t: the fold at %d, the table at %d, the charts at %d", folded, fold, table, charts)
		}
		if n := strings.Count(text.String(), "## The post's table"); n != 1 {
			t.Errorf("folded %t: it is %d times in the text", folded, n)
		}
	}
}
