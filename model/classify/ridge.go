package classify

import (
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// ridgePenalty is the weight of the squared norm of a class's weights beside the mean squared
// error over the samples, for features of variance 1.
const ridgePenalty = 0.01

// Ridge predicts classes with a linear classifier in closed form: ridge regression on one-hot
// classes, of features that are standardised by the mean and the standard deviation of the
// training set. The lower of two classes with equal scores wins. It is weaker than a trained
// probe, but it needs only one system of equations, and it ranks the states of one run. The
// predictions are a function of the arguments on one kind of machine.
//
// train is [n, width] with n labels in 0..classes-1, test is [m, width]; the predictions are m
// classes. If features are not finite, or their squares overflow, all predictions are class 0.
func Ridge(train []float32, labels []int32, test []float32, width, classes int) []int32 {
	n := len(labels)
	predictions := make([]int32, len(test)/width)
	x := dense(train, width)
	mean, scale := columns(x)
	standardise(x, mean, scale)
	// The columns of x have mean 0, so the intercept of a class is its share of the samples.
	share := make([]float64, classes)
	for _, label := range labels {
		share[label] += 1 / float64(n)
	}
	moments := mat.NewDense(width, classes, nil) // x'y / n; the mean of y falls out with that of x
	for i, label := range labels {
		for f, v := range x.RawRowView(i) {
			moments.Set(f, int(label), moments.At(f, int(label))+v/float64(n))
		}
	}
	var factor mat.Cholesky
	if !factor.Factorize(correlations(x, n)) {
		return predictions
	}
	var weights, scores mat.Dense
	if err := factor.SolveTo(&weights, moments); err != nil {
		return predictions
	}
	queries := dense(test, width)
	standardise(queries, mean, scale)
	scores.Mul(queries, &weights)
	for i := range predictions {
		for class, score := range scores.RawRowView(i) {
			if score+share[class] > scores.At(i, int(predictions[i]))+share[predictions[i]] {
				predictions[i] = int32(class)
			}
		}
	}
	return predictions
}

// correlations are x'x / n of standardised features, with the ridge penalty on the diagonal.
func correlations(x *mat.Dense, n int) *mat.SymDense {
	_, width := x.Dims()
	gram := mat.NewSymDense(width, nil)
	gram.SymOuterK(1/float64(n), x.T())
	for f := range width {
		gram.SetSym(f, f, gram.At(f, f)+ridgePenalty)
	}
	return gram
}

// dense is features [n, width] as a matrix.
func dense(features []float32, width int) *mat.Dense {
	values := make([]float64, len(features))
	for i, v := range features {
		values[i] = float64(v)
	}
	return mat.NewDense(len(features)/width, width, values)
}

// columns are the mean of every column, and 1 over its standard deviation: 0 for a constant column.
func columns(x *mat.Dense) (mean, scale []float64) {
	_, width := x.Dims()
	mean, scale = make([]float64, width), make([]float64, width)
	var column []float64
	for f := range width {
		column = mat.Col(column, f, x)
		m, variance := stat.PopMeanVariance(column, nil)
		mean[f] = m
		// Below this share of the mean, values differ by the rounding of float32 alone.
		if variance > 1e-12*m*m || math.IsNaN(variance) {
			scale[f] = 1 / math.Sqrt(variance)
		}
	}
	return mean, scale
}

// standardise subtracts the means and scales.
func standardise(x *mat.Dense, mean, scale []float64) {
	x.Apply(func(_, f int, v float64) float64 { return (v - mean[f]) * scale[f] }, x)
}
