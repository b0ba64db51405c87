package pixels

import "image"

// chroma says how a format's colour differences, of which there are fewer than pixels, become colours: by a triangle filter,
// three parts of the nearest sample and one of the next, in each direction that has half the samples.
type chroma struct {
	// rounding returns what is added before the bits are dropped, for even and odd columns of row y, given what a
	// sample stands for across and down, 1 or 2 pixels each.
	rounding func(across, down, y int) [2]int
	// colour turns a pixel into red, green and blue.
	colour func(y, cb, cr int) (r, g, b byte)
	// narrow is the width, in samples, up to which samples are repeated instead.
	narrow int
}

// copy writes a region of an image as the function copyRGBX does.
func (c *chroma) copy(out []byte, stride int, m *image.YCbCr, region box) {
	cb, cr := make([]byte, region.width), make([]byte, region.width)
	for y := range region.height {
		c.spread(cb, m, m.Cb, region.left, region.top+y)
		c.spread(cr, m, m.Cr, region.left, region.top+y)
		from := m.Y[m.YOffset(m.Rect.Min.X+region.left, m.Rect.Min.Y+region.top+y):]
		row := out[stride*y : stride*y+4*region.width]
		for x := range region.width {
			row[4*x], row[4*x+1], row[4*x+2] = c.colour(int(from[x]), int(cb[x]), int(cr[x]))
		}
	}
}

// spread fills out with one colour difference of the pixels of row y from left on.
func (c *chroma) spread(out []byte, m *image.YCbCr, samples []byte, left, y int) {
	across, down := 1, 1
	switch m.SubsampleRatio {
	case image.YCbCrSubsampleRatio422:
		across = 2
	case image.YCbCrSubsampleRatio420:
		across, down = 2, 2
	case image.YCbCrSubsampleRatio440:
		down = 2
	case image.YCbCrSubsampleRatio411:
		across = 4
	case image.YCbCrSubsampleRatio410:
		across, down = 4, 2
	}
	width, height := (m.Rect.Dx()+across-1)/across, (m.Rect.Dy()+down-1)/down
	near := samples[m.CStride*(y/down):][:width]
	if across == 4 || across == 2 && width <= c.narrow {
		for x := range out {
			out[x] = near[(left+x)/across]
		}
		return
	}
	far, shift := near, 0
	if down == 2 {
		far = samples[m.CStride*beside(y, height):][:width]
		shift = 2
	}
	rounding := c.rounding(across, down, y)
	sum := func(at int) int {
		if down == 2 {
			return 3*int(near[at]) + int(far[at])
		}
		return int(near[at])
	}
	if across == 1 {
		for x := range out {
			out[x] = byte((sum(left+x) + rounding[0]) >> shift)
		}
		return
	}
	for x := range out {
		at := left + x
		out[x] = byte((3*sum(at/2) + sum(beside(at, width)) + rounding[at&1]) >> (shift + 2))
	}
}

// beside returns the second nearest of n samples, each of which stands for two pixels, to a pixel: the one on the other side
// of it, or, at the edge, the nearest again.
func beside(pixel, n int) int {
	return min(max(pixel/2+pixel&1*2-1, 0), n-1)
}
