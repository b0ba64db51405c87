package paired

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Group is the runs of one recipe with different seeds: [seed][image], right or not.
type Group [][]bool

// accuracies are those of the seeds.
func (g Group) accuracies() []float64 {
	all := make([]float64, len(g))
	for s, run := range g {
		for _, right := range run {
			if right {
				all[s]++
			}
		}
		all[s] /= float64(len(run))
	}
	return all
}

// shares are, for every image, the share of the seeds that are right.
func (g Group) shares() []float64 {
	all := make([]float64, len(g[0]))
	for _, run := range g {
		for i, right := range run {
			if right {
				all[i] += 1 / float64(len(g))
			}
		}
	}
	return all
}

// Residual is the variance of one answer that neither its seed nor its image explains: the residual
// mean square of a two-way analysis of variance. It takes two seeds and two images; else it is NaN.
func (g Group) Residual() float64 {
	seeds, images := g.accuracies(), g.shares()
	mean, sum := stat.Mean(seeds, nil), 0.0
	for s, run := range g {
		for i, right := range run {
			e := mean - seeds[s] - images[i]
			if right {
				e++
			}
			sum += e * e
		}
	}
	return sum / (float64(len(seeds)-1) * float64(len(images)-1))
}

// Comparison is the difference of two groups: the mean accuracy of the first less that of the
// second, over seeds and images.
type Comparison struct {
	Difference float64
	Low, High  float64 // its 95 % interval
}

// Beyond reports whether the interval leaves 0 out.
func (c Comparison) Beyond() bool { return c.Low > 0 || c.High < 0 }

// resamples of a bootstrap. The ends of an interval vary by about 2 % of its half width.
const resamples = 4000

// Compare compares two groups on the same images, of which one at least has several seeds, by a
// bootstrap: every resample draws images and seeds with replacement. It is a function of its
// arguments. Three corrections make the variance of the resamples that of the two-way model in
// which seeds and images are both random (Davison and Hinkley, Bootstrap Methods, 3.8):
//
//   - Differences by image are scaled to what they vary by beyond the noise of the seeds, which the
//     seeds bring in themselves.
//   - Deviations of k seeds are scaled by sqrt(k/(k-1)), and by the ratio of Student's quantile (with
//     Welch's degrees of freedom) to the normal one, because their spread is known from few seeds.
//   - A group with one seed has the deviations of the other one's.
func Compare(a, b Group) Comparison {
	first, second := a.accuracies(), b.accuracies()
	c := Comparison{Difference: stat.Mean(first, nil) - stat.Mean(second, nil)}
	images := differences(a, b)
	mean, variance := stat.MeanVariance(images, nil)
	imageVariance := imageVariance(a, b, a.residualOr(b), b.residualOr(a))
	scale := 0.0
	if variance > 0 {
		scale = math.Sqrt(imageVariance / variance)
	}
	wide := distuv.StudentsT{Sigma: 1, Nu: freedom(first, second)}.Quantile(1-alpha/2) / distuv.UnitNormal.Quantile(1-alpha/2)
	deviations := [2][]float64{seedDeviations(first, second), seedDeviations(second, first)}
	source := rand.NewPCG(1, 2)
	random, draw := rand.New(source), newHistogram(images)
	all := make([]float64, resamples)
	for r := range all {
		all[r] = c.Difference + scale*(draw.mean(source)-mean)
		for group, sign := range [2]float64{1, -1} {
			seeds := [2]int{len(first), len(second)}[group]
			for range seeds {
				all[r] += sign * wide * deviations[group][random.IntN(len(deviations[group]))] / float64(seeds)
			}
		}
	}
	slices.Sort(all)
	c.Low, c.High = stat.Quantile(alpha/2, stat.LinInterp, all, nil), stat.Quantile(1-alpha/2, stat.LinInterp, all, nil)
	return c
}

// histogram is values and how often each occurs. Of the differences of few seeds only few are
// unlike.
type histogram struct{ values, counts []float64 }

func newHistogram(values []float64) (h histogram) {
	for _, v := range slices.Sorted(slices.Values(values)) {
		if n := len(h.values); n == 0 || v != h.values[n-1] {
			h.values, h.counts = append(h.values, v), append(h.counts, 0)
		}
		h.counts[len(h.counts)-1]++
	}
	return h
}

// mean is that of as many values, drawn with replacement.
func (h histogram) mean(source rand.Source) float64 {
	n := floats.Sum(h.counts)
	left, drawn, sum := n, n, 0.0 // values that are not yet looked at, and draws that fall on them
	for i, v := range h.values {
		here := drawn
		if p := h.counts[i] / left; p < 1 {
			here = distuv.Binomial{N: drawn, P: p, Src: source}.Rand()
		}
		sum += here * v
		left, drawn = left-h.counts[i], drawn-here
	}
	return sum / n
}

// differences are, for every image, the share of the first group that is right less that of the
// second.
func differences(a, b Group) []float64 {
	all := a.shares()
	for i, share := range b.shares() {
		all[i] -= share
	}
	return all
}

// imageVariance is the variance over images of the difference that infinitely many seeds would
// have: that of the differences, less what the residuals of the seeds add to it.
func imageVariance(a, b Group, residualA, residualB float64) float64 {
	variance := stat.Variance(differences(a, b), nil)
	return max(0, variance-residualA/float64(len(a))-residualB/float64(len(b)))
}

// residualOr is the residual of a group, or with one seed that of the other.
func (g Group) residualOr(other Group) float64 {
	if len(g) < 2 {
		return other.Residual()
	}
	return g.Residual()
}

// seedDeviations are what the accuracy of one seed deviates by, of a group or with one seed of the
// other.
func seedDeviations(accuracies, other []float64) []float64 {
	if len(accuracies) < 2 {
		accuracies = other
	}
	mean, k := stat.Mean(accuracies, nil), float64(len(accuracies))
	all := make([]float64, len(accuracies))
	for i, v := range accuracies {
		all[i] = math.Sqrt(k/(k-1)) * (v - mean)
	}
	return all
}

// seedVariance is the variance of the mean of seeds, for one seed by the spread of the other group.
func seedVariance(of, other []float64) float64 {
	if len(of) < 2 {
		return stat.Variance(other, nil)
	}
	return stat.Variance(of, nil) / float64(len(of))
}

// freedom are the degrees of freedom of the seeds' spread, by Welch and Satterthwaite.
func freedom(first, second []float64) float64 {
	switch m, n := float64(len(first)-1), float64(len(second)-1); {
	case m == 0:
		return n
	case n == 0:
		return m
	default:
		a, b := seedVariance(first, nil), seedVariance(second, nil)
		if a+b == 0 {
			return m + n
		}
		return (a + b) * (a + b) / (a*a/m + b*b/n)
	}
}
