//go:build !cgo

package pixels

// jpegChroma returns libjpeg's "fancy upsampling" (jdsample.c) and colour conversion (jdcolor.c).
func jpegChroma() *chroma {
	return &chroma{
		rounding: func(across, down, y int) [2]int {
			switch {
			case across == 2 && down == 2:
				return [2]int{8, 7}
			case across == 2:
				return [2]int{1, 2}
			case down == 2:
				return [2]int{1 + y&1}
			}
			return [2]int{}
		},
		colour: func(y, cb, cr int) (r, g, b byte) {
			cb, cr = cb-128, cr-128
			const half = 1 << 15
			return level(y + (91881*cr+half)>>16), level(y + (half-22554*cb-46802*cr)>>16), level(y + (116130*cb+half)>>16)
		},
		narrow: 2,
	}
}

// level brings a colour into a byte.
func level(v int) byte { return byte(min(max(v, 0), 255)) }
