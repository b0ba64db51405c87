package report

import (
	"fmt"
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
	byData := map[string][]*history.Run{}
	var order []string
	for _, run := range r.Runs {
		if !run.Scored() {
			continue
		}
		data := run.Record.Fingerprint
		if byData[data] == nil {
			order = append(order, data)
		}
		byData[data] = append(byData[data], run)
	}
	var all []Answer
	for _, data := range order {
		a := newAnswer(byData[data])
		if len(order) > 1 {
			a.Headline += fmt.Sprintf(" Data: %s, sha256 %s.", a.Best.Setting("Data"), prefix(data, 8))
		}
		all = append(all, a)
	}
	return all
}

// Sentences are the answer as text.
func (a Answer) Sentences() []string {
	var all []string
	for _, s := range []string{a.Best.Name + " " + a.Headline, a.Gain, a.Seeds, a.Judgement} {
		if s != "" {
			all = append(all, s)
		}
	}
	return all
}

// newAnswer compares finished runs on the same data.
func newAnswer(runs []*history.Run) (a Answer) {
	for _, run := range runs {
		if a.Best == nil || run.Result.Metrics.Top1 > a.Best.Result.Metrics.Top1 {
			a.Best = run
		}
	}
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
		for _, run := range of.runs {
			if run == a.Best && len(of.runs) > 1 {
				mean, noise := of.top1()
				a.Seeds = fmt.Sprintf("Its recipe has been run with %d seeds: %.2f ± %.2f %% on average.", len(of.runs), mean, noise)
			}
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
