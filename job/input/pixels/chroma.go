package pixels

import "image"

// chroma upsamples and converts the colours of YCbCr images by the rules of one format. A direction
// with half the chroma samples is upsampled by a triangle filter: three parts of the nearest
// sample, one of the next.
type chroma struct {
	// rounding returns what is added before the fractional bits are dropped, for even and odd
	// columns of row y. A chroma sample covers horizontal x vertical pixels, 1 or 2 each.
	rounding func(horizontal, vertical, y int) [2]int
	// colour converts a pixel to red, green and blue.
	colour func(y, cb, cr int) (r, g, b byte)
	// repeatWidth is the width, in samples, up to which samples are repeated instead.
	repeatWidth int
}

// copy writes a region of an image as copyRGBX does.
func (c *chroma) copy(out []byte, stride int, m *image.YCbCr, region box) {
	cb, cr := make([]byte, region.width), make([]byte, region.width)
	for y := range region.height {
		c.upsample(cb, m, m.Cb, region.left, region.top+y)
		c.upsample(cr, m, m.Cr, region.left, region.top+y)
		from := m.Y[m.YOffset(m.Rect.Min.X+region.left, m.Rect.Min.Y+region.top+y):]
		row := out[stride*y : stride*y+4*region.width]
		for x := range region.width {
			row[4*x], row[4*x+1], row[4*x+2] = c.colour(int(from[x]), int(cb[x]), int(cr[x]))
		}
	}
}

// upsample fills out with one chroma channel, samples, of the pixels of row y from left on.
func (c *chroma) upsample(out []byte, m *image.YCbCr, samples []byte, left, y int) {
	horizontal, vertical := 1, 1 // pixels a sample covers
	switch m.SubsampleRatio {
	case image.YCbCrSubsampleRatio422:
		horizontal = 2
	case image.YCbCrSubsampleRatio420:
		horizontal, vertical = 2, 2
	case image.YCbCrSubsampleRatio440:
		vertical = 2
	case image.YCbCrSubsampleRatio411:
		horizontal = 4
	case image.YCbCrSubsampleRatio410:
		horizontal, vertical = 4, 2
	}
	width, height := (m.Rect.Dx()+horizontal-1)/horizontal, (m.Rect.Dy()+vertical-1)/vertical
	near := samples[m.CStride*(y/vertical):][:width]
	if horizontal == 4 || horizontal == 2 && width <= c.repeatWidth {
		for x := range out {
			out[x] = near[(left+x)/horizontal]
		}
		return
	}
	far, shift := near, 0
	if vertical == 2 {
		far = samples[m.CStride*secondNearest(y, height):][:width]
		shift = 2
	}
	rounding := c.rounding(horizontal, vertical, y)
	sum := func(at int) int {
		if vertical == 2 {
			return 3*int(near[at]) + int(far[at])
		}
		return int(near[at])
	}
	if horizontal == 1 {
		for x := range out {
			out[x] = byte((sum(left+x) + rounding[0]) >> shift)
		}
		return
	}
	for x := range out {
		at := left + x
		out[x] = byte((3*sum(at/2) + sum(secondNearest(at, width)) + rounding[at&1]) >> (shift + 2))
	}
}

// secondNearest returns the second nearest to a pixel of n samples that cover two pixels each. At
// the edge it is the nearest one again.
func secondNearest(pixel, n int) int {
	return min(max(pixel/2+pixel&1*2-1, 0), n-1)
}
