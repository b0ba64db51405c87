package paired

import (
	"math"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// Table counts images by which of two classifiers is right.
type Table struct{ Both, First, Second, Neither int }

// Count compares two classifiers, each with an answer for every image: right or not.
func Count(first, second []bool) (t Table) {
	for i, right := range first {
		switch {
		case right && second[i]:
			t.Both++
		case right:
			t.First++
		case second[i]:
			t.Second++
		default:
			t.Neither++
		}
	}
	return t
}

// Images is the number of images.
func (t Table) Images() int { return t.Both + t.First + t.Second + t.Neither }

// Disagreement is the share of the images on which exactly one of the two is right.
func (t Table) Disagreement() float64 { return float64(t.First+t.Second) / float64(t.Images()) }

// Difference is the accuracy of the first less that of the second.
func (t Table) Difference() float64 { return float64(t.First-t.Second) / float64(t.Images()) }

// Error is the standard error of the difference over the choice of images.
func (t Table) Error() float64 {
	d := t.Difference()
	return math.Sqrt((t.Disagreement() - d*d) / float64(t.Images()))
}

// UnpairedError is the standard error that the two accuracies have if the images are not known to be
// the same.
func (t Table) UnpairedError() float64 {
	n := float64(t.Images())
	p, q := float64(t.Both+t.First)/n, float64(t.Both+t.Second)/n
	return math.Sqrt((p*(1-p) + q*(1-q)) / n)
}

// McNemar is the two-sided p-value of McNemar's exact test: how likely a split of the images on which
// the two disagree is that is at least as uneven, if neither is better (McNemar, Psychometrika 1947).
func (t Table) McNemar() float64 {
	n := t.First + t.Second
	if n == 0 {
		return 1
	}
	return min(1, 2*distuv.Binomial{N: float64(n), P: 0.5}.CDF(float64(min(t.First, t.Second))))
}

// Interval is the 95 % interval of the difference for the number of images on which the two disagree:
// that of Clopper and Pearson for the share of them that the first has right. It leaves 0 out if and
// only if McNemar is below 0.05.
func (t Table) Interval() (low, high float64) {
	n := float64(t.First + t.Second)
	if n == 0 {
		return 0, 0
	}
	first := float64(t.First)
	share := [2]float64{0, 1}
	if first > 0 {
		share[0] = mathext.InvRegIncBeta(first, n-first+1, alpha/2)
	}
	if first < n {
		share[1] = mathext.InvRegIncBeta(first+1, n-first, 1-alpha/2)
	}
	return t.Disagreement() * (2*share[0] - 1), t.Disagreement() * (2*share[1] - 1)
}

// alpha is the share of differences of 0 that are taken for more.
const alpha = 0.05
