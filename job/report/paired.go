package report

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/report/paired"
)

//go:embed paired.html.tmpl
var pairedText string

// answers are those of the runs of a recipe, a row a seed; nil unless all have them for the same
// images.
func (of *recipe) answers() (g paired.Group) {
	first := of.runs[0].Answers
	for _, run := range of.runs {
		if run.Answers == nil || !onSameImages(run.Answers, first) {
			return nil
		}
		g = append(g, run.Answers.Right)
	}
	return g
}

func onSameImages(a, b *history.Answers) bool {
	return a.Labels == b.Labels && len(a.Right) == len(b.Right)
}

// pairedAnswers returns the answers of two recipes if they are for the same images.
func pairedAnswers(a, b *recipe) (first, second paired.Group, ok bool) {
	first, second = a.answers(), b.answers()
	return first, second, first != nil && second != nil && onSameImages(a.runs[0].Answers, b.runs[0].Answers)
}

// pairedContrast says how much one recipe is above another by what both say of the same images;
// empty if that is not known.
func pairedContrast(best, other *recipe) string {
	a, b, ok := pairedAnswers(best, other)
	if !ok {
		return ""
	}
	if len(a) == 1 && len(b) == 1 {
		table := paired.Count(a[0], b[0])
		low, high := table.Interval()
		verdict := "within noise"
		if table.Beyond() {
			verdict = "beyond the noise of the images. With one seed each this is said of the two runs, not of their recipes"
		}
		return fmt.Sprintf("%s on the same %d images, 95 %% interval %s; they disagree on %.1f %% of them, McNemar's p is %.2g: %s.",
			above(best, other, table.Difference()), table.Images(), interval(low, high), 100*table.Disagreement(), table.McNemar(), verdict)
	}
	c := paired.Compare(a, b)
	verdict := "within noise"
	if c.Beyond() {
		verdict = "beyond noise"
	}
	return fmt.Sprintf("%s on the same %d images, 95 %% interval %s over images and seeds (%d and %d): %s.",
		above(best, other, c.Difference), len(a[0]), interval(c.Low, c.High), len(a), len(b), verdict)
}

// above says how much a recipe is above another one; difference is a share.
func above(best, other *recipe, difference float64) string {
	points := fmt.Sprintf("%.2f", 100*difference)
	if points == "0.00" {
		return fmt.Sprintf("%s is level with %s", best.name, other.name)
	}
	return fmt.Sprintf("%s is %s points above %s", best.name, points, other.name)
}

// interval writes the ends of an interval of shares in points.
func interval(low, high float64) string {
	return minus(fmt.Sprintf("%.2f to %.2f", 100*low, 100*high))
}

// seedsForOnePoint is, for each of some recipes on the same data, the number of seeds at which a
// difference of one point is told: from the best one, and for the best from the next one. It is a
// dash where the noise of seeds or images is not known.
func seedsForOnePoint(all []*recipe) map[*recipe]string {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, byTop1)
	var groups []paired.Group
	for _, of := range all {
		if g := of.answers(); g != nil {
			groups = append(groups, g)
		}
	}
	pool := paired.NewPool(groups)
	needed := map[*recipe]string{}
	for i, of := range sorted {
		needed[of] = "–"
		if len(sorted) < 2 {
			continue
		}
		against := sorted[0]
		if i == 0 {
			against = sorted[1]
		}
		a, b, ok := pairedAnswers(of, against)
		if !ok {
			continue
		}
		switch seeds, ok := pool.Needed(a, b, 0.01); {
		case !ok:
		case seeds == 0:
			needed[of] = "more images"
		default:
			needed[of] = strconv.Itoa(seeds)
		}
	}
	return needed
}

// Pair is two runs, or probes, that say something of the same images. The first one's top-1 is not
// below the second one's.
type Pair struct {
	First, Second string
	paired.Table
}

// Points is the difference, in points.
func (p Pair) Points() float64 {
	return 100 * float64(p.Table.First-p.Table.Second) / float64(p.Images())
}

// Interval is the 95 % interval of the difference, in points.
func (p Pair) Interval() string {
	low, high := p.Table.Interval()
	return interval(low, high)
}

// Percent is the share of the images on which exactly one of the two is right, in percent.
func (p Pair) Percent() float64 { return 100 * p.Disagreement() }

// Errors are the standard errors of the difference, in points: for the same images, and as it would
// be for unlike ones.
func (p Pair) Errors() [2]float64 {
	images := p.Images()
	of := func(right int) float64 { return record.StandardError(100*float64(right)/float64(images), images) }
	return [2]float64{record.PairedError(p.Table.First, p.Table.Second, images), math.Hypot(of(p.Both+p.Table.First), of(p.Both+p.Table.Second))}
}

// P is McNemar's p-value.
func (p Pair) P() string { return strconv.FormatFloat(p.McNemar(), 'g', 2, 64) }

// Pairs are any two finished runs, or probes of teachers, on the same images, in the order of the
// runs.
func (r *Report) Pairs() []Pair {
	pairs, _ := r.pairs(math.MaxInt)
	return pairs
}

// pairs are the first of Pairs, and how many more there are.
func (r *Report) pairs(most int) (first []Pair, more int) {
	type answered struct {
		name, data string
		*history.Answers
	}
	var all []answered
	for _, run := range r.Runs {
		if run.Answers != nil {
			all = append(all, answered{run.Name, run.Result.Data.Fingerprint, run.Answers})
		}
	}
	for _, p := range r.Probes {
		if p.Answers != nil {
			all = append(all, answered{p.Run + ", probe " + p.Name, p.Result.Data.Fingerprint, p.Answers})
		}
	}
	for i, a := range all {
		for _, b := range all[i+1:] {
			switch {
			case a.data != b.data || !onSameImages(a.Answers, b.Answers):
			case len(first) == most:
				more++
			default:
				first = append(first, newPair(a.name, b.name, paired.Count(a.Right, b.Right)))
			}
		}
	}
	return first, more
}

// newPair puts the better one first.
func newPair(a, b string, t paired.Table) Pair {
	if t.First < t.Second {
		a, b, t.First, t.Second = b, a, t.Second, t.First
	}
	return Pair{a, b, t}
}

// shownPairs is the most pairs that page and text show; pairs.csv has all.
const shownPairs = 60

// ShownPairs are the first of Pairs.
func (r *Report) ShownPairs() []Pair {
	pairs, _ := r.pairs(shownPairs)
	return pairs
}

// HiddenPairs counts those of Pairs that are not shown.
func (r *Report) HiddenPairs() int {
	_, more := r.pairs(shownPairs)
	return more
}

// writePairsCSV writes a line for each pair, for other programs.
func (r *Report) writePairsCSV(w io.Writer) error {
	lines := [][]string{{"first", "second", "images", "both_right", "first_right", "second_right", "neither_right",
		"difference", "low", "high", "error", "unpaired_error", "mcnemar_p"}}
	for _, p := range r.Pairs() {
		low, high := p.Table.Interval()
		line := []string{inert(p.First), inert(p.Second)}
		for _, n := range []int{p.Images(), p.Both, p.Table.First, p.Table.Second, p.Neither} {
			line = append(line, strconv.Itoa(n))
		}
		for _, v := range []float64{p.Points(), 100 * low, 100 * high, p.Errors()[0], p.Errors()[1], p.McNemar()} {
			line = append(line, cell(v))
		}
		lines = append(lines, line)
	}
	return csv.NewWriter(w).WriteAll(lines)
}
