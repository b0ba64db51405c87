package mask

import (
	"math"
	"testing"
)

// The simulation's means against those that are known exactly.
func TestContextLengthsHaveTheExactMeans(t *testing.T) {
	m := newMasker(t, 14, nil)
	for _, c := range []struct {
		size size
		mean float64
	}{{size{5, 6}, 86.8043}, {size{6, 5}, 86.8043}, {size{7, 5}, 79.1275}, {size{6, 6}, 78.2562}, {size{8, 5}, 71.6078}} {
		var total, mean, square float64
		for n, share := range m.contextLengths([]pairing{{c.size, size{13, 13}, 1}}) {
			total += share
			mean += share * float64(n)
			square += share * float64(n*n)
		}
		bound := 4 * math.Sqrt((square-mean*mean)/simulatedImages)
		if math.Abs(total-1) > 1e-9 || math.Abs(mean-c.mean) > bound {
			t.Errorf("%v: shares sum to %v with mean %.5f, want %.4f within %.4f", c.size, total, mean, c.mean, bound)
		}
	}
}

// Few blocks on a small grid, where every ordered placement can be walked, with several positions
// of the context.
func TestContextLengthsOfFewBlocks(t *testing.T) {
	const grid = 5
	m := &Masker{grid: grid, cfg: Config{TargetBlocks: 3}}
	got := m.contextLengths([]pairing{{size{2, 1}, size{3, 3}, 1}})
	want := make([]float64, grid*grid+1)
	const tops, lefts, contextTops, contextLefts = 3, 4, 2, 2
	const placements = tops * lefts * tops * lefts * tops * lefts * contextTops * contextLefts
	for code := range placements {
		next := func(n int) int { digit := code % n; code /= n; return digit }
		var context [grid][grid]bool
		top, left := next(contextTops), next(contextLefts)
		for r := range 3 {
			for c := range 3 {
				context[top+r][left+c] = true
			}
		}
		for range 3 {
			top, left := next(tops), next(lefts)
			context[top][left], context[top+1][left] = false, false
		}
		n := 0
		for r := range grid {
			for c := range grid {
				if context[r][c] {
					n++
				}
			}
		}
		want[n] += 1. / placements
	}
	for n, share := range want {
		if bound := 5*math.Sqrt(share*(1-share)/simulatedImages) + 1e-12; math.Abs(got[n]-share) > bound {
			t.Errorf("%.6f of the images have contexts of %d cells, want %.6f within %.6f", got[n], n, share, bound)
		}
	}
}
