package pixels

import (
	"fmt"
	"image"
	"image/color"
)

// copyRGBX writes a region of a decoded image as rows of four bytes a pixel: red, green, blue and
// one of no meaning. The colours are those of Pillow's convert("RGB"): alpha is dropped, not
// blended; gray is repeated; YCbCr is converted by the rules of the format. It fails if the region
// lies outside of the image, the palette lacks a colour, or the type is unknown.
func copyRGBX(out []byte, stride int, m image.Image, region box, rules *chroma) error {
	bounds := m.Bounds()
	left, top := bounds.Min.X+region.left, bounds.Min.Y+region.top
	if left+region.width > bounds.Max.X || top+region.height > bounds.Max.Y {
		return fmt.Errorf("the image has %dx%d pixels, not as many as its header says", bounds.Dx(), bounds.Dy())
	}
	var colours [256][3]byte
	switch m := m.(type) {
	case *image.Paletted:
		for i, c := range m.Palette {
			c := color.NRGBAModel.Convert(c).(color.NRGBA)
			colours[i] = [3]byte{c.R, c.G, c.B}
		}
	case *image.YCbCr:
		rules.copy(out, stride, m, region)
		return nil
	case *image.NYCbCrA:
		rules.copy(out, stride, &m.YCbCr, region)
		return nil
	}
	for y := range region.height {
		row := out[stride*y : stride*y+4*region.width]
		switch m := m.(type) {
		case *image.Gray:
			from := m.Pix[m.PixOffset(left, top+y):]
			for x := range region.width {
				row[4*x], row[4*x+1], row[4*x+2] = from[x], from[x], from[x]
			}
		case *image.RGBA:
			copy(row, m.Pix[m.PixOffset(left, top+y):])
		case *image.NRGBA:
			copy(row, m.Pix[m.PixOffset(left, top+y):])
		case *image.Paletted:
			from := m.Pix[m.PixOffset(left, top+y):]
			for x := range region.width {
				if int(from[x]) >= len(m.Palette) {
					return fmt.Errorf("a pixel has colour %d of a palette of %d", from[x], len(m.Palette))
				}
				copy(row[4*x:], colours[from[x]][:])
			}
		case *image.Gray16: // Pillow clips these at 255
			from := m.Pix[m.PixOffset(left, top+y):]
			for x := range region.width {
				v := from[2*x+1]
				if from[2*x] != 0 {
					v = 255
				}
				row[4*x], row[4*x+1], row[4*x+2] = v, v, v
			}
		case *image.RGBA64:
			copyHighBytes(row, m.Pix[m.PixOffset(left, top+y):])
		case *image.NRGBA64:
			copyHighBytes(row, m.Pix[m.PixOffset(left, top+y):])
		default:
			return fmt.Errorf("no way to read pixels of %T", m)
		}
	}
	return nil
}

// copyHighBytes copies the high bytes of big-endian 16-bit colours.
func copyHighBytes(row, from []byte) {
	for i := range row {
		row[i] = from[2*i]
	}
}
