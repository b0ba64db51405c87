package classify

import (
	"math"
	"testing"

	"github.com/cijepa/cijepa/model/draw"
)

// Features that lie along r directions in equal shares have the effective rank r.
func TestRankOfEqualDirectionsIsTheirNumber(t *testing.T) {
	const width = 24
	s := draw.New(1, "test")
	// The rows of a Hadamard-like set: orthogonal directions of mean 0 and variance 1, so LayerNorm
	// leaves them as they are.
	directions := make([][]float32, 8)
	for d := range directions {
		directions[d] = make([]float32, width)
		for f := range width {
			directions[d][f] = float32(math.Sqrt2 * math.Cos(2*math.Pi*float64((d/2+1)*f)/width+math.Pi/2*float64(d%2)))
		}
	}
	for _, rank := range []int{1, 2, 5, 8} {
		var features []float32
		for range 3 { // more images than directions, so the larger Gram matrix is singular
			for d := range rank {
				for _, sign := range []float32{1, -1} {
					for _, x := range directions[d] {
						features = append(features, sign*x)
					}
				}
			}
		}
		_, got := Spread(features, 1, width)
		if math.Abs(got[0]-float64(rank)) > 1e-4 {
			t.Errorf("effective rank %v of %d equal directions", got[0], rank)
		}
	}
	// Unequal shares, against the definition: singular values a, b have the rank exp(entropy of
	// a/(a+b), b/(a+b)).
	var features []float32
	for d, copies := range []int{9, 4} { // singular values in the ratio 3 to 2
		for range copies {
			for _, sign := range []float32{1, -1} {
				for _, x := range directions[d] {
					features = append(features, sign*x)
				}
			}
		}
	}
	want := math.Exp(-0.6*math.Log(0.6) - 0.4*math.Log(0.4))
	if _, got := Spread(features, 1, width); math.Abs(got[0]-want) > 1e-4 {
		t.Errorf("effective rank %v, want %v", got[0], want)
	}
	// Noise fills nearly all of what it can.
	noise := make([]float32, 200*width)
	for i := range noise {
		noise[i] = float32(s.Normal())
	}
	if _, got := Spread(noise, 1, width); got[0] < width-3 || got[0] > width-1+1e-9 {
		t.Errorf("effective rank %v of noise in %d dimensions after LayerNorm", got[0], width)
	}
}

// The std of two depths, against the definition in plain loops; scale and shift of an image do not
// count.
func TestStdAgainstPlainLoops(t *testing.T) {
	const n, depths, width = 7, 2, 11
	s := draw.New(2, "test")
	features := make([]float32, n*depths*width)
	for i := range features {
		features[i] = float32(s.Normal())
	}
	for image := range n {
		for f := range width { // depth 1: larger and shifted, by image
			x := &features[(image*depths+1)*width+f]
			*x = *x*float32(image+1) + 5*float32(image)
		}
	}
	got, _ := Spread(features, depths, width)
	for depth := range depths {
		var normal [n][width]float64
		for image := range n {
			x := features[(image*depths+depth)*width:][:width]
			mean, square := 0.0, 0.0
			for _, v := range x {
				mean += float64(v)
			}
			mean /= width
			for _, v := range x {
				square += math.Pow(float64(v)-mean, 2)
			}
			for f, v := range x {
				normal[image][f] = (float64(v) - mean) / math.Sqrt(square/width+1e-5)
			}
		}
		want := 0.0
		for f := range width {
			sum, square := 0.0, 0.0
			for image := range n {
				sum += normal[image][f]
				square += normal[image][f] * normal[image][f]
			}
			want += math.Sqrt(square/n-sum*sum/n/n) / width
		}
		if math.Abs(got[depth]-want) > 1e-9 {
			t.Errorf("depth %d: std %v, want %v", depth, got[depth], want)
		}
	}
}

func TestEqualImagesHaveNoSpread(t *testing.T) {
	same := make([]float32, 0, 50*8)
	for range 50 {
		same = append(same, 0.3, -1, 2, 0.7, 0.1, 5, -3, 0.2)
	}
	std, rank := Spread(same, 1, 8)
	if std[0] > 1e-9 || rank[0] != 0 {
		t.Errorf("fifty equal images: std %v, rank %v", std[0], rank[0])
	}
	same[17] = float32(math.NaN())
	std, rank = Spread(same, 1, 8)
	if !math.IsNaN(std[0]) || !math.IsNaN(rank[0]) {
		t.Errorf("with no number among them: std %v, rank %v", std[0], rank[0])
	}
}
