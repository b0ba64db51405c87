package model

import (
	"math"
	"slices"
	"testing"
)

// With the post's depths 1..11 and two rows every pathway but the deepest is trained in a fifth of the steps, and each of
// the 45 pairs comes alike often.
func TestSampleDepthsIsUniform(t *testing.T) {
	depths := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	const steps = 45_000
	pairs := map[[2]int]int{}
	for step := range int64(steps) {
		s := SampleDepths(depths, 2, 1, step)
		if len(s) != 3 || !(s[0] < s[1] && s[1] < s[2]) || s[2] != 11 || s[0] < 1 {
			t.Fatalf("step %d samples %v", step, s)
		}
		pairs[[2]int(s[:2])]++
	}
	if len(pairs) != 45 {
		t.Errorf("%d pairs, want 45", len(pairs))
	}
	for pair, n := range pairs {
		if math.Abs(float64(n)-steps/45) > 5*math.Sqrt(steps/45) {
			t.Errorf("pair %v comes %d times in %d steps", pair, n, steps)
		}
	}
}

func TestSampleDepths(t *testing.T) {
	sparse := []int{0, 3, 7, 11}
	for rows := range 4 {
		s := SampleDepths(sparse, rows, 9, 123)
		if len(s) != rows+1 || s[rows] != 11 || !slices.IsSorted(s) {
			t.Errorf("%d rows of %v: %v", rows, sparse, s)
		}
		for _, d := range s {
			if !slices.Contains(sparse, d) {
				t.Errorf("%d rows: %d is none of %v", rows, d, sparse)
			}
		}
		if again := SampleDepths(sparse, rows, 9, 123); !slices.Equal(s, again) {
			t.Errorf("%d rows: %v, then %v", rows, s, again)
		}
	}
	if s := SampleDepths([]int{11}, 0, 1, 1); !slices.Equal(s, []int{11}) {
		t.Errorf("the single depth: %v", s)
	}
	same := 0
	for step := range int64(1000) {
		if slices.Equal(SampleDepths(sparse, 1, 1, step), SampleDepths(sparse, 1, 2, step)) {
			same++
		}
	}
	if same < 250 || same > 420 { // a third
		t.Errorf("two seeds agree in %d of 1000 steps", same)
	}
}

func TestRowWeights(t *testing.T) {
	value := func(x float64) *float64 { return &x }
	eleven := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	for _, c := range []struct {
		name      string
		depths    []int
		source    int
		all, last *float64
		deepest   float64
	}{
		{"alone", []int{11}, 11, value(0.5), value(0.8), 1},
		{"R-U, a row", eleven, 3, nil, nil, 1. / 11},
		{"R-U, the deepest row", eleven, 11, nil, nil, 1. / 11},
		{"R-A05-B05, a row", eleven, 3, value(0.5), nil, 0.5},
		{"R-A05-B05, the deepest row", eleven, 11, value(0.5), nil, 0.5},
		{"R-A05-B08, a row", eleven, 3, value(0.5), value(0.8), 0.5},
		{"R-A05-B08, the deepest row", eleven, 11, value(0.5), value(0.8), 0.8},
		{"R-B08, a row", eleven, 3, nil, value(0.8), 1. / 11},
		{"R-B08, the deepest row", eleven, 11, nil, value(0.8), 0.8},
		{"R-A05-B10, the deepest row", eleven, 11, value(0.5), value(1), 1},
		{"no mass on the deepest", []int{0, 5}, 0, value(0), nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := RowWeights(c.depths, c.source, c.all, c.last)
			n := len(c.depths)
			if len(w) != n || math.Abs(w[n-1]-c.deepest) > 1e-15 {
				t.Fatalf("weights %v, want %v on the deepest", w, c.deepest)
			}
			sum := w[n-1]
			for _, other := range w[:n-1] {
				sum += other
				if want := (1 - c.deepest) / float64(n-1); math.Abs(other-want) > 1e-15 {
					t.Errorf("weight %v, want %v", other, want)
				}
			}
			if math.Abs(sum-1) > 1e-12 {
				t.Errorf("the row sums to %v", sum)
			}
		})
	}
}
