// Package draw makes every random number of a run: crops, orders, masks, sampled depths, initial
// weights.
//
// A draw is a function of the run's seed, a purpose and a position (step, epoch, sample, ...),
// never of earlier draws. So a run goes on after a kill, or with another number of workers, as if
// nothing had happened. Only the raw 64 bits come from the standard library (PCG-DXSM). Bounded,
// uniform and normal draws are made here, of integer arithmetic and of float operations that IEEE
// 754 fixes to the last bit, so neither a Go release nor another processor changes a run. The
// golden vectors in the test check it. The package imports nothing else.
//
//	draw.go       Stream and its draws
//	logarithm.go  the same natural logarithm on every machine
package draw

import (
	"math"
	"math/bits"
	"math/rand/v2"
)

// Stream is an endless sequence of random numbers. It is not safe for concurrent use. Streams of
// different purposes or positions are independent and may be used in parallel.
type Stream struct {
	source rand.PCG
	spare  float64 // the second normal of a pair, if has
	has    bool
}

// New returns the stream of a purpose at a position, a function of its arguments alone. The purpose
// is a short constant such as "crop" or "mask"; the position says what the numbers are for, such as
// (epoch, sample) or (step, image).
func New(seed uint64, purpose string, at ...uint64) *Stream {
	// Two lanes absorb the same words from different initial values. Each absorption is a bijection
	// of the lane for a given word and of the word for a given lane, so neighbouring positions end
	// far apart.
	name := uint64(14695981039346656037) // FNV-1a
	for i := range len(purpose) {
		name = (name ^ uint64(purpose[i])) * 1099511628211
	}
	hi, lo := uint64(0x243f6a8885a308d3), uint64(0x13198a2e03707344) // the first digits of pi
	absorb := func(word uint64) {
		hi = mix(hi ^ word)
		lo = mix(lo + word)
	}
	absorb(seed)
	absorb(name)
	for _, word := range at {
		absorb(word)
	}
	absorb(uint64(len(at))) // (1) and (1, 0) are different positions
	s := new(Stream)
	s.source.Seed(hi, lo)
	return s
}

// mix is SplitMix64's step: a bijection of 64 bits in which every input bit reaches every output
// bit.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Uint64 returns 64 random bits.
func (s *Stream) Uint64() uint64 { return s.source.Uint64() }

// Float64 returns a number uniform on the multiples of 2^-53 in [0, 1).
func (s *Stream) Float64() float64 { return float64(s.source.Uint64()>>11) * 0x1p-53 }

// IntN returns a number uniform on 0..n-1, without bias. It panics when n < 1.
func (s *Stream) IntN(n int) int {
	if n < 1 {
		panic("draw: IntN of a number below 1")
	}
	// Lemire, "Fast random integer generation in an interval" (2019): the high word of a product,
	// redrawn in the few cases in which the low word tells that some results had one preimage more.
	bound := uint64(n)
	high, low := bits.Mul64(s.source.Uint64(), bound)
	if low < bound {
		for least := -bound % bound; low < least; {
			high, low = bits.Mul64(s.source.Uint64(), bound)
		}
	}
	return int(high)
}

// Perm returns a uniform permutation of 0..n-1.
func (s *Stream) Perm(n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	s.Shuffle(n, func(i, j int) { p[i], p[j] = p[j], p[i] })
	return p
}

// Shuffle puts n elements into a uniform order by swapping (Fisher-Yates, from the end).
func (s *Stream) Shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, s.IntN(i+1))
	}
}

// Normal returns a number from the normal distribution of mean 0 and standard deviation 1.
func (s *Stream) Normal() float64 {
	if s.has {
		s.has = false
		return s.spare
	}
	// Marsaglia's polar method: a uniform point of the unit disc gives two independent normals. The
	// conversions forbid fused multiply-adds, which some processors have and others do not.
	for {
		x, y := 2*s.Float64()-1, 2*s.Float64()-1
		r := float64(x*x) + float64(y*y)
		if r >= 1 || r == 0 {
			continue
		}
		scale := math.Sqrt(-2 * logarithm(r) / r)
		s.spare, s.has = y*scale, true
		return x * scale
	}
}
