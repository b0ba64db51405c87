package classify

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// ridgePenalty is the weight of the squared norm of a class's weights beside the mean squared error over the samples, on
// features of variance 1.
const ridgePenalty = 0.01

// Ridge classifies features by a linear classifier in closed form: ridge regression on the classes as 0 and 1, of features
// that are standardised by the mean and the deviation of the training set. Of classes with equal scores the lower one is
// the answer. It is no match for a probe that is trained, but it needs no more than one system of equations, and it ranks
// the states of one run. The answers are a function of the arguments on one kind of machine.
//
// train is [n, width] with n labels in 0..classes-1, test [m, width]; the answers are m classes. Where features are not
// finite, or too large for their squares to be, the answers are all class 0.
func Ridge(train []float32, labels []int32, test []float32, width, classes int) []int32 {
	n := len(labels)
	answers := make([]int32, len(test)/width)
	mean, scale := columns(train, n, width)
	x := standardised(train, mean, scale)
	gram := mat.NewSymDense(width, nil) // x'x / n
	gram.SymOuterK(1/float64(n), x.T())
	// The intercept of a class is its share; the rest is on columns without a mean.
	share := make([]float64, classes)
	for _, label := range labels {
		share[label] += 1 / float64(n)
	}
	moments := mat.NewDense(width, classes, nil) // x'y / n, of which x's zero mean takes the share of y away
	for i, label := range labels {
		for f, v := range x.RawRowView(i) {
			moments.Set(f, int(label), moments.At(f, int(label))+v/float64(n))
		}
	}
	for f := range width {
		gram.SetSym(f, f, gram.At(f, f)+ridgePenalty)
	}
	var factor mat.Cholesky
	if !factor.Factorize(gram) {
		return answers
	}
	var weights, scores mat.Dense
	if err := factor.SolveTo(&weights, moments); err != nil {
		return answers
	}
	scores.Mul(standardised(test, mean, scale), &weights)
	for i := range answers {
		for class, score := range scores.RawRowView(i) {
			if score+share[class] > scores.At(i, int(answers[i]))+share[answers[i]] {
				answers[i] = int32(class)
			}
		}
	}
	return answers
}

// columns gives the mean of every feature over n samples, and one over its deviation: 0 for a feature that never changes.
func columns(features []float32, n, width int) (mean, scale []float64) {
	mean, scale = make([]float64, width), make([]float64, width)
	for i, v := range features {
		mean[i%width] += float64(v) / float64(n)
	}
	for i, v := range features {
		d := float64(v) - mean[i%width]
		scale[i%width] += d * d / float64(n)
	}
	for f, variance := range scale {
		// Below this share of the mean a feature differs by the rounding of float32 alone.
		if variance <= 1e-12*mean[f]*mean[f] {
			scale[f] = 0
			continue
		}
		scale[f] = 1 / math.Sqrt(variance)
	}
	return mean, scale
}

// standardised is features [m, width] about the mean, scaled.
func standardised(features []float32, mean, scale []float64) *mat.Dense {
	width := len(mean)
	x := mat.NewDense(len(features)/width, width, nil)
	for i := range len(features) / width {
		row := x.RawRowView(i)
		for f, v := range features[i*width : (i+1)*width] {
			row[f] = (float64(v) - mean[f]) * scale[f]
		}
	}
	return x
}
