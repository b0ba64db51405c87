package pixels

// precision is the number of fractional bits of a weight, and what makes a sum of weighted bytes fit 32 bits.
const precision = 22

// axis holds the taps of one direction of a resize. Row i of the table belongs to output pixel i and holds, in stride
// numbers: the first source pixel, the number of taps, then as many weights, in fixed point, then zeros. All rows have
// room for the same number of weights, a multiple of four: that is what vector instructions take at once.
type axis struct {
	table   []int32
	stride  int
	weights []float64 // of one output pixel, before they are rounded
}

// padding returns how many bytes behind the end of a row of RGBX pixels may be read, for weights of zero.
func (a *axis) padding() int { return 4 * (a.stride - 2) }

// fill sets the axis to a resize of in pixels to out pixels of which the n from first on are kept, in mirrored order if
// told. It returns the span of source pixels that those read; the table counts source pixels from low.
//
// The arithmetic is that of Pillow's Resample.c (precompute_coeffs, normalize_coeffs_8bpc), operation by operation; the
// conversions forbid the compiler to fuse a product into a sum, as some processors would.
func (a *axis) fill(filter Filter, in, out, first, n int, mirrored bool) (low, high int) {
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
	a.stride = 2 + (taps+3)&^3
	a.table = sized(a.table, a.stride*n)
	a.weights = sized(a.weights, taps)
	for i := range n {
		centre, from, to := bounds(first + i)
		weights := a.weights[:to-from]
		sum := 0.0
		for x := range weights {
			weights[x] = filter.weight(float64((float64(x+from) - centre + 0.5) * inverse))
			sum += weights[x]
		}
		if mirrored {
			i = n - 1 - i
		}
		row := a.table[a.stride*i : a.stride*(i+1)]
		row[0], row[1] = int32(from-low), int32(to-from)
		for x, w := range weights {
			row[2+x] = fixed(w / sum)
		}
		clear(row[2+len(weights):])
	}
	return low, high
}

// fixed rounds a weight to fixed point, halves away from zero.
func fixed(w float64) int32 {
	if w < 0 {
		return int32(float64(w*(1<<precision)) - 0.5)
	}
	return int32(float64(w*(1<<precision)) + 0.5)
}

// sized returns a slice of n elements, in s's memory when that is large enough. The elements have any value.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
