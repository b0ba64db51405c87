package draw_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/cijepa/cijepa/model/draw"
)

// The numbers were computed by a second implementation, in Python. A change here changes every run,
// so that no stored run could be resumed.
func TestGoldenVectors(t *testing.T) {
	for _, want := range []struct {
		seed    uint64
		purpose string
		at      []uint64
		words   [3]uint64
		floats  [2]float64
		below   [4]int // of 10, 1000003, 2^62 + 1, 1
		perm    []int
		normals [3]float64
	}{
		{
			seed: 0, purpose: "", at: nil,
			words:   [3]uint64{0xd926dccc96f400fa, 0xd29de6e84a93753c, 0xf149370b93397ea0},
			floats:  [2]float64{0.848249244640968, 0.8227218930356466},
			below:   [4]int{8, 822724, 4346622089823674280, 0},
			perm:    []int{0, 5, 1, 3, 2, 4, 8, 6, 7},
			normals: [3]float64{0.33365560028804564, 0.3091979913923865, -0.08052094280719894},
		},
		{
			seed: 0, purpose: "mask", at: []uint64{0},
			words:   [3]uint64{0xce8ec853c9ff6be8, 0xc2745f5d9b3faa67, 0xd11234dbe0cda83b},
			floats:  [2]float64{0.8068661884844893, 0.7595882037669514},
			below:   [4]int{8, 759590, 3766290455620446735, 0},
			perm:    []int{3, 8, 4, 2, 0, 1, 5, 6, 7},
			normals: [3]float64{0.7134484780723997, 0.6035295378019159, 0.4872047479615047},
		},
		{
			seed: 1, purpose: "mask", at: []uint64{0},
			words:   [3]uint64{0x41eec92a9af6dd15, 0x61ca80d9e5a8a493, 0xe3ea879f77d4a44a},
			floats:  [2]float64{0.25754983225030104, 0.3819962055182793},
			below:   [4]int{2, 381997, 4105772027534977299, 0},
			perm:    []int{0, 8, 4, 1, 7, 5, 6, 3, 2},
			normals: [3]float64{-1.4131460624712096, -0.6877974103967702, 1.446694386993663},
		},
		{
			seed: 0, purpose: "crop", at: []uint64{3, 7},
			words:   [3]uint64{0x46489e6302d1e734, 0xcb8f69516a593faf, 0xac0203b70bfdcb18},
			floats:  [2]float64{0.27454557339917285, 0.7951570342796445},
			below:   [4]int{2, 795159, 3098618302298026694, 0},
			perm:    []int{0, 1, 8, 7, 5, 3, 4, 6, 2},
			normals: [3]float64{-0.6619502599614334, 0.8666020823657652, 2.003445694341566},
		},
		{
			seed: math.MaxUint64, purpose: "weights", at: []uint64{1 << 63, 5},
			words:   [3]uint64{0x3d0fca11e4de2c13, 0x6cf11d79cd5bb61a, 0x6172ed951e1ddc48},
			floats:  [2]float64{0.23852217614045712, 0.425554125058041},
			below:   [4]int{2, 425555, 1755483998433802002, 0},
			perm:    []int{0, 7, 6, 1, 4, 5, 8, 3, 2},
			normals: [3]float64{-1.501467474182403, -0.42748581184630635, -0.2443791423108288},
		},
	} {
		t.Run(fmt.Sprint(want.seed, want.purpose, want.at), func(t *testing.T) {
			stream := func() *draw.Stream { return draw.New(want.seed, want.purpose, want.at...) }
			s := stream()
			for i, w := range want.words {
				if got := s.Uint64(); got != w {
					t.Errorf("word %d is %#x, want %#x", i, got, w)
				}
			}
			s = stream()
			for i, w := range want.floats {
				if got := s.Float64(); got != w {
					t.Errorf("float %d is %v, want %v", i, got, w)
				}
			}
			s = stream()
			for i, n := range []int{10, 1000003, 1<<62 + 1, 1} {
				if got := s.IntN(n); got != want.below[i] {
					t.Errorf("number below %d is %d, want %d", n, got, want.below[i])
				}
			}
			if got := stream().Perm(9); !slices.Equal(got, want.perm) {
				t.Errorf("permutation is %v, want %v", got, want.perm)
			}
			s = stream()
			for i, w := range want.normals {
				if got := s.Normal(); got != w {
					t.Errorf("normal %d is %v, want %v", i, got, w)
				}
			}
		})
	}
}

// Streams whose arguments differ in one place only must not meet.
func TestStreamsOfOtherArgumentsDiffer(t *testing.T) {
	seen := map[uint64]string{}
	check := func(name string, s *draw.Stream) {
		t.Helper()
		word := s.Uint64()
		if other, met := seen[word]; met {
			t.Errorf("%s begins as %s", name, other)
		}
		seen[word] = name
	}
	for seed := range uint64(20) {
		for _, purpose := range []string{"crop", "order", "mask"} {
			check(fmt.Sprint(seed, purpose), draw.New(seed, purpose))
			for i := range uint64(20) {
				check(fmt.Sprint(seed, purpose, i), draw.New(seed, purpose, i))
				for j := range uint64(20) {
					check(fmt.Sprint(seed, purpose, i, j), draw.New(seed, purpose, i, j))
				}
			}
		}
	}
}

// The first word of neighbouring positions, where a weak seeding would show: uniform bytes by a
// chi-square test, and half of the bits differ from one position to the next.
func TestNeighbouringPositionsAreIndependent(t *testing.T) {
	const positions = 1 << 16
	var bytes [8][256]int
	flips := 0
	last := draw.New(0, "mask", 0, 0).Uint64()
	for i := range uint64(positions) {
		word := draw.New(0, "mask", i/256, i%256).Uint64()
		for b := range bytes {
			bytes[b][byte(word>>(8*b))]++
		}
		for differing := word ^ last; differing != 0; differing &= differing - 1 {
			flips++
		}
		last = word
	}
	for b, counts := range bytes {
		chi := 0.0
		for _, n := range counts {
			d := float64(n) - positions/256
			chi += d * d / (positions / 256)
		}
		if chi > 255+5*math.Sqrt(2*255) {
			t.Errorf("byte %d: chi-square %.0f over 255 degrees of freedom", b, chi)
		}
	}
	if mean := float64(flips) / positions; math.Abs(mean-32) > 5*4/math.Sqrt(positions) {
		t.Errorf("%.3f bits differ between neighbours, want 32", mean)
	}
}

func TestIntNIsUniform(t *testing.T) {
	s := draw.New(7, "test")
	for _, n := range []int{1, 2, 3, 10, 81} {
		const draws = 81_000
		counts := make([]int, n)
		for range draws {
			counts[s.IntN(n)]++
		}
		for i, count := range counts {
			p := 1 / float64(n)
			if d := math.Abs(float64(count) - draws*p); d > 5*math.Sqrt(draws*p*(1-p)) {
				t.Errorf("%d of %d is drawn %d times in %d", i, n, count, draws)
			}
		}
	}
	// Bounds just above a power of two are where a biased method shows: a third of the 64-bit words
	// must be redrawn.
	n, high := 3<<61, 0
	const draws = 40_000
	for range draws {
		if s.IntN(n) >= 1<<61 {
			high++
		}
	}
	if share := float64(high) / draws; math.Abs(share-2./3) > 5*math.Sqrt(2./9/draws) {
		t.Errorf("%.4f of the numbers below 3 x 2^61 are at or above 2^61, want 2/3", share)
	}
	defer func() {
		if recover() == nil {
			t.Error("IntN(0) returned")
		}
	}()
	s.IntN(0)
}

func TestShuffleIsUniform(t *testing.T) {
	const draws = 24_000
	counts := map[[4]int]int{}
	s := draw.New(1, "test")
	for range draws {
		counts[[4]int(s.Perm(4))]++
	}
	if len(counts) != 24 {
		t.Fatalf("%d orders of 4 things", len(counts))
	}
	for order, n := range counts {
		if math.Abs(float64(n)-1000) > 5*math.Sqrt(1000) {
			t.Errorf("order %v comes %d times in %d", order, n, draws)
		}
	}
}

// Moments and tails of the normal draws, each within five standard errors.
func TestNormalHasTheRightMomentsAndTails(t *testing.T) {
	const draws = 400_000
	s := draw.New(3, "test")
	var sum, square, fourth, lag float64
	beyond, last := 0, 0.0
	for range draws {
		x := s.Normal()
		sum += x
		square += x * x
		fourth += x * x * x * x
		lag += x * last
		last = x
		if math.Abs(x) > 2 {
			beyond++
		}
	}
	for _, c := range []struct {
		name             string
		got, want, sigma float64 // sigma of one draw
	}{
		{"mean", sum, 0, 1},
		{"square", square, 1, math.Sqrt(2)},
		{"fourth power", fourth, 3, math.Sqrt(96)},
		{"product of neighbours", lag, 0, 1},
		{"share beyond 2", float64(beyond), math.Erfc(math.Sqrt2), 0.21},
	} {
		if got := c.got / draws; math.Abs(got-c.want) > 5*c.sigma/math.Sqrt(draws) {
			t.Errorf("%s: %.5f, want %.5f", c.name, got, c.want)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for i := range b.N {
		draw.New(1, "mask", uint64(i), 3).Uint64()
	}
}

func BenchmarkNormal(b *testing.B) {
	s := draw.New(1, "weights")
	for b.Loop() {
		s.Normal()
	}
}
