package paired

import (
	"math"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// power is the share of differences of the wanted size that are found.
const power = 0.8

// Pool is what runs on one data set say of the noise of a seed.
type Pool struct {
	SeedVariance float64 // of the accuracy of one seed on these images; NaN: no group has two seeds
	Residual     float64 // see Group.Residual
}

// NewPool takes the mean over the groups with several seeds, weighted by their degrees of freedom.
func NewPool(groups []Group) Pool {
	var variances, residuals, freedom []float64
	for _, g := range groups {
		if len(g) > 1 {
			variances, residuals = append(variances, stat.Variance(g.accuracies(), nil)), append(residuals, g.Residual())
			freedom = append(freedom, float64(len(g)-1))
		}
	}
	if len(freedom) == 0 {
		return Pool{math.NaN(), math.NaN()}
	}
	return Pool{stat.Mean(variances, freedom), stat.Mean(residuals, freedom)}
}

// Needed is the number of seeds that each of two groups needs so that a difference of the given
// size is found, at a level of 5 %, with a power of 80 %:
//
//	k = ceil(2 s² / ((size / z)² - t²/n)),  z = z(0.975) + z(0.8) = 2.80
//
// s² is the variance of the accuracy of one seed and t² the variance over the n images of the
// difference that infinitely many seeds would have. It is 0 if no number of seeds is enough,
// because the choice of images alone makes as much noise; ok is false if no seed was repeated.
func (p Pool) Needed(a, b Group, size float64) (seeds int, ok bool) {
	if math.IsNaN(p.SeedVariance) {
		return 0, false
	}
	z := distuv.UnitNormal.Quantile(1-alpha/2) + distuv.UnitNormal.Quantile(power)
	rest := size*size/(z*z) - imageVariance(a, b, p.Residual, p.Residual)/float64(len(a[0]))
	if rest <= 0 {
		return 0, true
	}
	return max(1, int(math.Ceil(2*p.SeedVariance/rest))), true
}
