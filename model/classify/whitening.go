package classify

import (
	"errors"

	"gonum.org/v1/gonum/mat"
)

// Whitening is a linear map after which features are uncorrelated, of mean 0 and variance 1, but
// for the ridge penalty, which keeps directions in which they hardly vary from being blown up. It
// is the inverse of a Cholesky factor of their correlations.
//
// train is [n, width]. The feature f of a sample x becomes the sum over i of matrix[f, i] (x[i] -
// mean[i]), with matrix [width, width]. A constant feature counts as 0. Features that are not
// finite are an error.
func Whitening(train []float32, width int) (mean, matrix []float32, err error) {
	x := dense(train, width)
	n, _ := x.Dims()
	means, scale := columns(x)
	standardise(x, means, scale)
	var factor mat.Cholesky
	if !factor.Factorize(correlations(x, n)) {
		return nil, nil, errors.New("the features are not finite")
	}
	var lower, inverse mat.TriDense
	factor.LTo(&lower)
	if err := inverse.InverseTri(&lower); err != nil {
		return nil, nil, err
	}
	for f := range width {
		mean = append(mean, float32(means[f]))
		for i := range width {
			matrix = append(matrix, float32(inverse.At(f, i)*scale[i]))
		}
	}
	return mean, matrix, nil
}
