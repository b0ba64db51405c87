package paired

import (
	"math"

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

// McNemar is the two-sided p-value of McNemar's exact test: how likely a split of the images on
// which the two disagree is that is at least as uneven, if neither is better (McNemar,
// Psychometrika 1947).
func (t Table) McNemar() float64 {
	n := t.First + t.Second
	if n == 0 {
		return 1
	}
	return min(1, 2*distuv.Binomial{N: float64(n), P: 0.5}.CDF(float64(min(t.First, t.Second))))
}

// Beyond reports whether McNemar's test finds a difference.
func (t Table) Beyond() bool { return t.McNemar() < alpha }

// Interval is the 95 % interval of the difference over the choice of images: method 10 of Newcombe,
// Statistics in Medicine 1998, from Wilson's intervals of both accuracies and their correlation.
func (t Table) Interval() (low, high float64) {
	n := float64(t.Images())
	a, b, c, d := float64(t.Both), float64(t.First), float64(t.Second), float64(t.Neither)
	p, q := (a+b)/n, (a+c)/n
	phi := 0.0
	if product := (a + b) * (c + d) * (a + c) * (b + d); product > 0 {
		covariance := a*d - b*c
		if covariance > 0 {
			covariance = max(0, covariance-n/2)
		}
		phi = covariance / math.Sqrt(product)
	}
	lowP, highP := wilson(p, n)
	lowQ, highQ := wilson(q, n)
	reach := func(x, y float64) float64 { return math.Sqrt(max(0, x*x-2*phi*x*y+y*y)) }
	return p - q - reach(p-lowP, highQ-q), p - q + reach(highP-p, q-lowQ)
}

// wilson is the 95 % score interval of a share of n images.
func wilson(share, n float64) (low, high float64) {
	z := distuv.UnitNormal.Quantile(1 - alpha/2)
	centre, half := share+z*z/(2*n), z*math.Sqrt(share*(1-share)/n+z*z/(4*n*n))
	return (centre - half) / (1 + z*z/n), (centre + half) / (1 + z*z/n)
}

// alpha is the share of differences of 0 that are taken for more.
const alpha = 0.05
