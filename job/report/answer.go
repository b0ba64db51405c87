package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cijepa/cijepa/job/history"
)

// Answer is what the finished runs with scores on one data set say, in sentences for the head of a
// report.
type Answer struct {
	Best      *history.Run // the one with the highest top-1
	Headline  string       // to follow its name: that it is the best, of how many, with its figure and its error
	Gain      string       // how far it is above its untrained self; empty if it is not, by any measure
	Seeds     string       // the mean of its recipe; empty with one seed
	Judgement string       // that it does not beat its untrained self; empty if it does
}

// Answers has an answer for each data set on which a run has finished, in the order of the runs.
func (r *Report) Answers() []Answer {
	var all []Answer
	onData := grouped(r.scored(), func(run *history.Run) string { return run.Record.Fingerprint })
	for _, runs := range onData {
		a := newAnswer(runs)
		if len(onData) > 1 {
			a.Headline += fmt.Sprintf(" Data: %s, sha256 %s.", a.Best.Setting("Data"), prefix(a.Best.Record.Fingerprint, 8))
		}
		all = append(all, a)
	}
	return all
}

// scored are the runs with scores.
func (r *Report) scored() []*history.Run {
	return slices.DeleteFunc(slices.Clone(r.Runs), func(run *history.Run) bool { return !run.Scored() })
}

// grouped sorts items into groups with one key each. Groups, and the items of a group, are in the
// order of the items.
func grouped[T any, K comparable](items []T, key func(T) K) (groups [][]T) {
	at := map[K]int{}
	for _, item := range items {
		k := key(item)
		i, known := at[k]
		if !known {
			i = len(groups)
			at[k], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], item)
	}
	return groups
}

// sentences are the answer as text.
func (a Answer) sentences() []string {
	all := []string{a.Best.Name + " " + a.Headline, a.Gain, a.Seeds, a.Judgement}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// newAnswer compares finished runs on the same data.
func newAnswer(runs []*history.Run) (a Answer) {
	a.Best = slices.MaxFunc(runs, func(a, b *history.Run) int { return cmp.Compare(a.Result.Metrics.Top1, b.Result.Metrics.Top1) })
	m := a.Best.Result.Metrics
	figure := fmt.Sprintf("%.2f ± %.2f %% top-1 by a linear probe on the frozen teacher", m.Top1, m.StandardError)
	if m.KNNTop1 != nil {
		figure += fmt.Sprintf(", %.2f %% by kNN", *m.KNNTop1)
	}
	if a.Headline = "has " + figure + "."; len(runs) > 1 {
		a.Headline = fmt.Sprintf("is the best of %d finished runs: %s.", len(runs), figure)
	}
	var gains []string
	some := false
	for _, g := range m.Gains(a.Best.Result.Data.ValidationSamples) {
		some = some || g.Beyond()
		gains = append(gains, fmt.Sprintf("%s points by %s (%.2f to %.2f %%)",
			minus(fmt.Sprintf("%+.2f ± %.2f", g.Points(), g.Error)), g.Measure, g.Untrained, g.Teacher))
	}
	if some { // else the judgement has the same figures
		a.Gain = "Over its own untrained self: " + strings.Join(gains, ", ") + "."
	}
	for _, of := range groupByRecipe(runs) {
		if len(of.runs) > 1 && slices.Contains(of.runs, a.Best) {
			mean, noise := of.top1()
			a.Seeds = fmt.Sprintf("Its recipe has been run with %d seeds: %.2f ± %.2f %% on average.", len(of.runs), mean, noise)
		}
	}
	a.Judgement = a.Best.Judge()
	return a
}

// best is the run that a page shows first: the best finished one of the first data set, or else the
// first run.
func (r *Report) best() *history.Run {
	if answers := r.Answers(); len(answers) > 0 {
		return answers[0].Best
	}
	return r.Runs[0]
}

// WithoutResult is a sentence on the runs that have no result; empty if all have one.
func (r *Report) WithoutResult() string {
	const most = 8
	var words []string
	for _, run := range r.Runs {
		if run.Result == nil {
			words = append(words, run.Name+" ("+run.State()+")")
		}
	}
	if len(words) == 0 {
		return ""
	}
	count := plural(len(words), "run has", "runs have")
	if rest := len(words) - most; rest > 0 {
		words = append(words[:most], fmt.Sprintf("and %d more", rest))
	}
	return count + " no result: " + strings.Join(words, ", ") + "."
}

// plural writes a count with its noun.
func plural(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

// minus writes negative numbers with a minus sign, which is as wide as a plus sign.
func minus(text string) string { return strings.ReplaceAll(text, "-", "−") }
