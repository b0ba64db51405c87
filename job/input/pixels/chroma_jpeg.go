//go:build !cgo

package pixels

// jpegChroma returns libjpeg's "fancy upsampling" (jdsample.c) and colour conversion (jdcolor.c).
func jpegChroma() *chroma {
	return &chroma{
		rounding: func(horizontal, vertical, y int) [2]int {
			switch {
			case horizontal == 2 && vertical == 2:
				return [2]int{8, 7}
			case horizontal == 2:
				return [2]int{1, 2}
			case vertical == 2:
				return [2]int{1 + y&1}
			}
			return [2]int{}
		},
		colour: func(y, cb, cr int) (r, g, b byte) {
			cb, cr = cb-128, cr-128
			const half = 1 << 15
			return clamp(y + (91881*cr+half)>>16), clamp(y + (half-22554*cb-46802*cr)>>16), clamp(y + (116130*cb+half)>>16)
		},
		repeatWidth: 2,
	}
}

// clamp limits a colour to a byte.
func clamp(v int) byte { return byte(min(max(v, 0), 255)) }
