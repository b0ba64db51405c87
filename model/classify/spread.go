package classify

import (
	"math"
	"sync"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// layerNormEpsilon is added to a variance before its root is taken, as the LayerNorm of the
// targets does.
const layerNormEpsilon = 1e-5

// Spread measures pooled features [n, depths, width] at every depth, after a LayerNorm without
// affine of each. std is the standard deviation of a feature over the n images, mean over the
// features. rank is the effective rank about the mean: the exponential of the entropy of the
// singular values (Roy and Vetterli, EUSIPCO 2007), or 0 if all images are alike. Both are NaN if
// a feature is. Depths are computed in parallel, because the device waits meanwhile.
func Spread(features []float32, depths, width int) (std, rank []float64) {
	std, rank = make([]float64, depths), make([]float64, depths)
	var all sync.WaitGroup
	for depth := range depths {
		all.Go(func() { std[depth], rank[depth] = spreadAt(features, depth, depths, width) })
	}
	all.Wait()
	return std, rank
}

// spreadAt is Spread at one depth.
func spreadAt(features []float32, depth, depths, width int) (std, rank float64) {
	n := len(features) / (depths * width)
	x := mat.NewDense(n, width, nil)
	for image := range n {
		row := x.RawRowView(image)
		for f, v := range features[(image*depths+depth)*width:][:width] {
			row[f] = float64(v)
		}
		layerNorm(row)
	}
	if std = center(x); math.IsNaN(std) {
		return std, math.NaN()
	}
	return std, effectiveRank(x)
}

// layerNorm gives x mean 0 and variance 1.
func layerNorm(x []float64) {
	mean, variance := stat.PopMeanVariance(x, nil)
	floats.AddConst(-mean, x)
	floats.Scale(1/math.Sqrt(variance+layerNormEpsilon), x)
}

// center subtracts from every column its mean, and returns the mean of the columns' standard
// deviations.
func center(x *mat.Dense) float64 {
	_, width := x.Dims()
	total := 0.0
	var column []float64
	for f := range width {
		column = mat.Col(column, f, x)
		mean, std := stat.PopMeanStdDev(column, nil)
		floats.AddConst(-mean, column)
		x.SetCol(f, column)
		total += std
	}
	return total / float64(width)
}

// effectiveRank is that of the rows of x. The squares of the singular values are the eigenvalues
// of x x', or of x' x where that is smaller.
func effectiveRank(x *mat.Dense) float64 {
	n, width := x.Dims()
	var gram mat.SymDense
	if n <= width {
		gram.SymOuterK(1, x)
	} else {
		gram.SymOuterK(1, x.T())
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(&gram, false) {
		return math.NaN()
	}
	values := eigen.Values(nil) // ascending
	largest := values[len(values)-1]
	for i, v := range values {
		// Rounding leaves zeros as tiny numbers of either sign, whose roots would count.
		if v <= 1e-12*max(largest, 1) {
			v = 0
		}
		values[i] = math.Sqrt(v)
	}
	sum := floats.Sum(values)
	if sum == 0 {
		return 0
	}
	floats.Scale(1/sum, values)
	return math.Exp(stat.Entropy(values))
}
