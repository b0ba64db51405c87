package pictures

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/cijepa/cijepa/job/record"
)

// Maps are the tokens of some images as colours: [n, grid, grid, 3] in Pixels.
type Maps struct {
	Images
	record.Components
	scores [components][]float64 // by token; nil: the tokens do not have this component
}

// components is how many are drawn: one for each channel.
const components = 3

// tokenEpsilon is added to the variance of a token's features, as in the objective's targets.
const tokenEpsilon = 1e-5

// Project takes the first three principal components of the tokens [n, grid*grid, width] of all
// images together, and draws them as red, green and blue. One basis for all images makes a colour
// mean the same in each of them.
//
// Every token is normalised over its features first, as the objective's targets are. A component's
// sign is set by Fields, and its range is that from its 1st to its 99th percentile: few tokens of
// large norm would otherwise leave all others in one colour. A component that the tokens do not
// have is grey.
func Project(tokens []float32, width int, fields Fields) (Maps, error) {
	n := fields.images * fields.grid * fields.grid
	if width < 1 || n < 2 || len(tokens) != n*width {
		return Maps{}, fmt.Errorf("%d values are not %d tokens of %d features", len(tokens), n, width)
	}
	x := mat.NewDense(n, width, nil)
	for i := range n {
		if !normalise(x.RawRowView(i), tokens[i*width:(i+1)*width]) {
			return Maps{}, fmt.Errorf("a feature of token %d is not finite", i)
		}
	}
	maps := Maps{Images: Images{Side: fields.grid, Pixels: make([]byte, n*components)}}
	for i := range maps.Pixels {
		maps.Pixels[i] = 128
	}
	var of stat.PC
	if !of.PrincipalComponents(x, nil) {
		return Maps{}, errors.New("the principal components of the tokens were not found")
	}
	variances := of.VarsTo(nil)
	var total float64
	for _, v := range variances {
		total += v
	}
	var axes mat.Dense
	of.VectorsTo(&axes)
	for c := range components {
		share, name, r := 0.0, "", 0.0
		if c < len(variances) && variances[c] > 1e-12*total && total > 1e-12 {
			share = variances[c] / total
			var scores mat.VecDense
			scores.MulVec(x, axes.ColView(c))
			values := scores.RawVector().Data
			name, r = fields.orient(values)
			maps.scores[c] = values
			paint(maps.Pixels[c:], values)
		}
		maps.Shares, maps.Follows, maps.R = append(maps.Shares, rounded(share)), append(maps.Follows, name), append(maps.R, rounded(r))
	}
	return maps, nil
}

// normalise gives a token mean 0 and variance 1 over its features. It is false if one is not
// finite.
func normalise(to []float64, token []float32) bool {
	for i, v := range token {
		to[i] = float64(v)
	}
	mean, variance := stat.PopMeanVariance(to, nil)
	scale := 1 / math.Sqrt(variance+tokenEpsilon)
	for i := range to {
		to[i] = (to[i] - mean) * scale
	}
	return !math.IsNaN(scale) && !math.IsInf(variance, 0)
}

// orient sets the sign of scores so that they rise with the field with which they correlate most.
// It returns the field and the correlation. Of equal ones the first is taken. Scores that correlate
// with none keep their sign.
func (f Fields) orient(scores []float64) (name string, r float64) {
	for _, of := range f.fields {
		if c := stat.Correlation(scores, of.values, nil); math.Abs(c) > math.Abs(r) { // NaN of a field without variance is not larger
			name, r = of.name, c
		}
	}
	if r < 0 {
		for i := range scores {
			scores[i] = -scores[i]
		}
	}
	return name, math.Abs(r)
}

// sameComponent is the correlation from which on components of two depths are taken for the same
// one: they share half of their variance.
const sameComponent = 0.7

// Align gives the components of an encoder's depths, in ascending order, the signs of the deepest:
// a component that falls where that of the next deeper depth rises is turned.
func Align(depths []*Maps) {
	for i := len(depths) - 2; i >= 0; i-- {
		m, deeper := depths[i], depths[i+1]
		for c, scores := range m.scores {
			if scores == nil || deeper.scores[c] == nil || stat.Correlation(scores, deeper.scores[c], nil) > -sameComponent {
				continue
			}
			for k := range scores {
				scores[k] = -scores[k]
			}
			m.R[c] = -m.R[c]
			paint(m.Pixels[c:], scores)
		}
	}
}

// paint writes scores into one channel of pixels.
func paint(channel []byte, scores []float64) {
	sorted := slices.Sorted(slices.Values(scores))
	low, high := stat.Quantile(0.01, stat.Empirical, sorted, nil), stat.Quantile(0.99, stat.Empirical, sorted, nil)
	if !(high > low) {
		return
	}
	for i, v := range scores {
		channel[i*components] = byte(math.Round(255 * min(max((v-low)/(high-low), 0), 1)))
	}
}

// rounded drops the digits that differ between machines and say nothing.
func rounded(v float64) float64 { return math.Round(v*1e4) / 1e4 }
