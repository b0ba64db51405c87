package classify

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"github.com/cijepa/cijepa/model/draw"
)

// TestNeighboursAgainstSorting: the nearest samples and their cosines are those that sorting all
// similarities in float64 gives, for whole and broken blocks of test samples.
func TestNeighboursAgainstSorting(t *testing.T) {
	noise := draw.New(4, "neighbours")
	features := func(n, width int) []float32 {
		x := make([]float32, n*width)
		for i := range x {
			x[i] = float32(noise.Normal())
		}
		return x
	}
	for _, c := range []struct{ train, test, width, k int }{{50, 9, 16, 5}, {3, 4, 8, 5}, {20, 1, 3, 1}} {
		train, test := features(c.train, c.width), features(c.test, c.width)
		cosine := func(a, b []float32) float64 {
			var ab float64
			for i := range a {
				ab += float64(a[i]) * float64(b[i])
			}
			return ab / (norm(a) * norm(b))
		}
		got := Neighbours(train, test, c.width, c.k)
		if len(got) != c.test {
			t.Fatalf("%+v: neighbours of %d samples", c, len(got))
		}
		for i, row := range got {
			var want []Neighbour
			for k := range c.train {
				want = append(want, Neighbour{k, cosine(train[k*c.width:][:c.width], test[i*c.width:][:c.width])})
			}
			slices.SortStableFunc(want, func(a, b Neighbour) int { return cmp.Compare(b.Similarity, a.Similarity) })
			want = want[:min(c.k, c.train)]
			same := slices.EqualFunc(row, want, func(a, b Neighbour) bool {
				return a.Sample == b.Sample && math.Abs(a.Similarity-b.Similarity) < 1e-6
			})
			if !same {
				t.Errorf("%+v, sample %d: %v, want %v", c, i, row, want)
			}
		}
	}
	if got := Neighbours(features(3, 4), make([]float32, 4), 4, 2); got[0][0].Similarity != 0 {
		t.Errorf("a feature of zeros is similar: %v", got)
	}
}
