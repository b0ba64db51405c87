package pixels

// precision is the number of fractional bits of a fixed-point weight. It is Pillow's: a sum of
// weighted bytes then fits 32 bits.
const precision = 22

// coefficients is the table of one direction of a resize. Row i of the table belongs to output
// pixel i and holds, in stride numbers: the first source pixel, the number of taps, one fixed-point
// weight per tap, and zeros. All rows have room for the same number of weights, a multiple of four,
// because the vector code reads four at once.
type coefficients struct {
	table   []int32 // [output pixels, stride]
	stride  int
	weights []float64 // scratch: the weights of one output pixel before rounding
}

// padding returns the number of bytes after the end of a row of RGBX pixels that may be read, for
// weights of zero.
func (c *coefficients) padding() int { return 4 * (c.stride - 2) }

// compute fills the table for a resize of in pixels to out pixels of which n, from first on, are
// kept, in reverse order if mirrored. It returns the span low..high-1 of source pixels that the
// kept ones read; the table counts source pixels from low.
//
// The arithmetic is that of Pillow's Resample.c (precompute_coeffs, normalize_coeffs_8bpc),
// operation by operation. The conversions to float64 forbid fused multiply-adds.
func (c *coefficients) compute(filter Filter, in, out, first, n int, mirrored bool) (low, high int) {
	scale := float64(in) / float64(out)
	widened := max(scale, 1)
	support := float64(filter.radius() * widened)
	inverse := 1 / widened
	bounds := func(o int) (centre float64, from, to int) {
		centre = float64((float64(o) + 0.5) * scale)
		return centre, max(int(centre-support+0.5), 0), min(int(centre+support+0.5), in)
	}
	_, low, _ = bounds(first)
	_, _, high = bounds(first + n - 1)
	taps := 0
	for i := range n {
		_, from, to := bounds(first + i)
		taps = max(taps, to-from)
	}
	c.stride = 2 + (taps+3)&^3
	c.table = grow(c.table, c.stride*n)
	c.weights = grow(c.weights, taps)
	for i := range n {
		centre, from, to := bounds(first + i)
		weights := c.weights[:to-from]
		sum := 0.0
		for x := range weights {
			weights[x] = filter.weight(float64((float64(x+from) - centre + 0.5) * inverse))
			sum += weights[x]
		}
		if mirrored {
			i = n - 1 - i
		}
		row := c.table[c.stride*i : c.stride*(i+1)]
		row[0], row[1] = int32(from-low), int32(to-from)
		for x, w := range weights {
			row[2+x] = fixedPoint(w / sum)
		}
		clear(row[2+len(weights):])
	}
	return low, high
}

// fixedPoint rounds a weight to fixed point, halves away from zero.
func fixedPoint(w float64) int32 {
	if w < 0 {
		return int32(float64(w*(1<<precision)) - 0.5)
	}
	return int32(float64(w*(1<<precision)) + 0.5)
}

// grow returns a slice of n elements of any value. It reuses the memory of s if that is large
// enough.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
