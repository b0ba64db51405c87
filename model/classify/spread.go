package classify

import (
	"math"
	"sync"

	"gonum.org/v1/gonum/mat"
)

// Spread gives the deviation and the effective rank of pooled features [n, L, D] at every depth, as Health defines them. Depths are
// computed side by side: the device waits for it.
func Spread(features []float32, depths, width int) (deviation, rank []float64) {
	deviation, rank = make([]float64, depths), make([]float64, depths)
	var all sync.WaitGroup
	for depth := range depths {
		all.Go(func() { deviation[depth], rank[depth] = spreadOf(features, depth, depths, width) })
	}
	all.Wait()
	return deviation, rank
}

// spreadOf is Spread at one depth.
func spreadOf(features []float32, depth, depths, width int) (deviation, rank float64) {
	n := len(features) / (depths * width)
	x := mat.NewDense(n, width, nil)
	for image := range n {
		row := x.RawRowView(image)
		for f, v := range features[(image*depths+depth)*width:][:width] {
			row[f] = float64(v)
		}
		standardise(row)
	}
	if deviation = center(x); math.IsNaN(deviation) {
		return deviation, math.NaN()
	}
	return deviation, effectiveRank(x)
}

// standardise is LayerNorm without affine, with the epsilon of the targets.
func standardise(x []float64) {
	mean, variance := 0.0, 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		variance += (v - mean) * (v - mean) / float64(len(x))
	}
	for i := range x {
		x[i] = (x[i] - mean) / math.Sqrt(variance+stdEpsilon)
	}
}

// center takes the mean over the rows from every column, and returns the mean of the columns' standard deviations.
func center(x *mat.Dense) float64 {
	n, width := x.Dims()
	total := 0.0
	for f := range width {
		mean, variance := 0.0, 0.0
		for i := range n {
			mean += x.At(i, f) / float64(n)
		}
		for i := range n {
			d := x.At(i, f) - mean
			variance += d * d / float64(n)
			x.Set(i, f, d)
		}
		total += math.Sqrt(variance)
	}
	return total / float64(width)
}

// effectiveRank is that of the rows of x: the singular values are the roots of the eigenvalues of x x', or of x' x where
// that is smaller.
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
	singular, sum := eigen.Values(nil), 0.0
	largest := singular[len(singular)-1]
	for i, v := range singular {
		// Rounding leaves zeros as tiny numbers of either sign, whose roots would count. Features are of size 1.
		if v <= 1e-12*max(largest, 1) {
			v = 0
		}
		singular[i] = math.Sqrt(v)
		sum += singular[i]
	}
	if sum == 0 {
		return 0
	}
	entropy := 0.0
	for _, s := range singular {
		if p := s / sum; p > 0 {
			entropy -= p * math.Log(p)
		}
	}
	return math.Exp(entropy)
}

// stdEpsilon is added to a variance before its root is taken, as the LayerNorm of the targets does.
const stdEpsilon = 1e-5
