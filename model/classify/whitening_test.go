package classify

import (
	"math"
	"testing"

	"github.com/cijepa/cijepa/model/draw"
)

// TestWhitenedFeaturesAreUncorrelated: features that are alike, of other sizes and offsets, have
// mean 0, variance 1 and no correlation behind the map, but for the penalty; a constant one changes
// nothing.
func TestWhitenedFeaturesAreUncorrelated(t *testing.T) {
	const n, width = 4000, 5
	s := draw.New(1, "test")
	var train []float32
	for range n {
		a, b, c, d := s.Normal(), s.Normal(), s.Normal(), s.Normal()
		train = append(train, float32(1e-3*a), float32(1000+50*(a+b)), 7, float32(-3+a-b+c), float32(b+c+3*d))
	}
	mean, matrix, err := Whitening(train, width)
	if err != nil {
		t.Fatal(err)
	}
	var sum [width]float64
	var products [width][width]float64
	for i := range n {
		var y [width]float64
		for f := range width {
			for k := range width {
				y[f] += float64(matrix[f*width+k]) * float64(train[i*width+k]-mean[k])
			}
			sum[f] += y[f] / n
		}
		for f := range width {
			for k := range width {
				products[f][k] += y[f] * y[k] / n
			}
		}
	}
	for f := range width {
		if math.Abs(sum[f]) > 1e-3 {
			t.Errorf("feature %d has mean %v", f, sum[f])
		}
		for k := range width {
			want := 0.0
			if f == k && f != 2 {
				want = 1
			}
			if math.Abs(products[f][k]-want) > 0.12 {
				t.Errorf("features %d and %d: %v, want %v", f, k, products[f][k], want)
			}
		}
	}
}

// TestWhiteningRefusesWhatIsNotFinite.
func TestWhiteningRefusesWhatIsNotFinite(t *testing.T) {
	for _, x := range []float32{float32(math.NaN()), float32(math.Inf(-1))} {
		if _, _, err := Whitening([]float32{1, 2, 3, x, 5, 6}, 2); err == nil {
			t.Errorf("%v: no error", x)
		}
	}
}
