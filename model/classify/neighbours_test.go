package classify

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"github.com/cijepa/cijepa/model/draw"
)

// plainNeighbours is the definition, by sorting all similarities in float64.
func plainNeighbours(train []float32, labels []int32, test []float32, right []int32, width, k, classes int) Answers {
	cosine := func(a, b []float32) float64 {
		var ab, aa, bb float64
		for i := range a {
			ab += float64(a[i]) * float64(b[i])
			aa += float64(a[i]) * float64(a[i])
			bb += float64(b[i]) * float64(b[i])
		}
		return ab / math.Sqrt(aa*bb)
	}
	var answers Answers
	for row := range slices.Chunk(test, width) {
		order := make([]int, len(labels))
		similarity := make([]float64, len(labels))
		for i := range order {
			order[i], similarity[i] = i, cosine(train[i*width:(i+1)*width], row)
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(similarity[b], similarity[a]) })
		count, sum := make([]int, classes), make([]float64, classes)
		for _, i := range order[:min(k, len(order))] {
			count[labels[i]]++
			sum[labels[i]] += similarity[i]
		}
		ranked := make([]int, classes)
		for c := range ranked {
			ranked[c] = c
		}
		slices.SortStableFunc(ranked, func(a, b int) int { return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(sum[b], sum[a])) })
		rank := slices.Index(ranked, int(right[len(answers.Classes)]))
		answers.Append(Answers{Classes: []int32{int32(ranked[0])}, Ranks: []int32{int32(rank)}})
	}
	return answers
}

func TestNearestNeighboursAgainstSorting(t *testing.T) {
	s := draw.New(1, "test")
	features := func(n, width int) []float32 {
		x := make([]float32, n*width)
		for i := range x {
			x[i] = float32(s.Normal())
		}
		return x
	}
	for _, c := range []struct{ train, test, width, k, classes int }{
		{300, 1, 8, 20, 5}, {300, 6, 8, 20, 5}, {301, 103, 17, 20, 7}, {50, 9, 3, 1, 10}, {5, 9, 4, 20, 3}, {1, 4, 1, 1, 2},
	} {
		train, test := features(c.train, c.width), features(c.test, c.width)
		labels := make([]int32, c.train)
		for i := range labels {
			labels[i] = int32(s.IntN(c.classes))
		}
		right := make([]int32, c.test)
		for i := range right {
			right[i] = int32(s.IntN(c.classes))
		}
		got := RankNeighbours(train, labels, test, right, c.width, c.k, c.classes)
		want := plainNeighbours(train, labels, test, right, c.width, c.k, c.classes)
		if !slices.Equal(got.Classes, want.Classes) || !slices.Equal(got.Ranks, want.Ranks) {
			t.Errorf("%+v: %v, want %v", c, got, want)
		}
		if alone := NearestNeighbours(train, labels, test, c.width, c.k, c.classes); !slices.Equal(alone, want.Classes) {
			t.Errorf("%+v without ranks: %v, want %v", c, alone, want.Classes)
		}
	}
	if got := NearestNeighbours(features(3, 4), []int32{0, 1, 1}, nil, 4, 2, 2); len(got) != 0 {
		t.Errorf("answers to nothing: %v", got)
	}
}

func TestEquallyNearAndEqualVotesAreDecided(t *testing.T) {
	for _, c := range []struct {
		name   string
		train  []float32 // width 2
		labels []int32
		k      int
		want   int32
	}{
		{"length does not count", []float32{100, 90, 0.01, 0}, []int32{0, 1}, 1, 1},
		{"equally near: the first sample", []float32{2, 0, 1, 0}, []int32{1, 0}, 1, 1},
		{"equal votes: the nearer", []float32{1, 1, 1, 0.1}, []int32{0, 1}, 2, 1},
		{"equal votes and sums: the lower class", []float32{1, 0, 3, 0}, []int32{1, 0}, 2, 0},
		{"zeros are at similarity 0", []float32{0, 0, -1, 0}, []int32{1, 0}, 1, 1},
		{"most votes win over the nearest", []float32{1, 0, 1, 1, 1, 1}, []int32{0, 1, 1}, 3, 1},
	} {
		if got := NearestNeighbours(c.train, c.labels, []float32{1, 0}, 2, c.k, 2); got[0] != c.want {
			t.Errorf("%s: class %d, want %d", c.name, got[0], c.want)
		}
	}
}

// A thousandth of ImageNet-100's work: 12,669 training and 50 validation samples of width 768.
func BenchmarkNearestNeighbours(b *testing.B) {
	const n, m, width = 12_669, 48, 768
	train, test := make([]float32, n*width), make([]float32, m*width)
	s := draw.New(1, "test")
	for i := range train {
		train[i] = float32(s.Float64() - 0.5)
	}
	copy(test, train)
	labels := make([]int32, n)
	for b.Loop() {
		NearestNeighbours(train, labels, test, width, 20, 100)
	}
}
