//go:build !cgo

package pixels

import (
	"bytes"
	"image"
	"image/jpeg"
	"log/slog"
	"sync"
)

// maxJPEGPixels: image/jpeg decodes images as a whole.
const maxJPEGPixels = maxWholePixels

// engine decodes JPEG files and resizes without cgo: image/jpeg, whose inverse cosine transform differs from libjpeg's by a
// level here and there, then Pillow's upsampling, colours and resize in plain Go.
type engine struct {
	rows     []byte  // the source after the horizontal pass
	sums     []int32 // one row of the vertical pass
	unpacked []byte
}

func newEngine() *engine { return new(engine) }
func (e *engine) close() {}

// fallbackWarning makes a process say once that it decodes slowly, however many loaders it has.
var fallbackWarning sync.Once

// thumbnail is the side of images that decode fast enough here, such as the demonstration's.
const thumbnail = 64

func WarnOfFallback(log *slog.Logger, size int) {
	if size <= thumbnail {
		return
	}
	fallbackWarning.Do(func() {
		log.Warn("built without cgo: images are decoded several times slower, and not quite to Pillow's pixels", "decoder", DecoderName())
	})
}

// DecoderName names what decodes JPEG files in this build.
func DecoderName() string { return "image/jpeg" }

func (e *engine) size(encoded []byte) (width, height int, err error) {
	c, err := jpeg.DecodeConfig(bytes.NewReader(encoded))
	return c.Width, c.Height, err
}

func (e *engine) verify(encoded []byte) error {
	_, err := jpeg.Decode(bytes.NewReader(encoded))
	return err
}

// cut decodes a region and resizes it by the axes.
func (e *engine) cut(encoded []byte, region box, across, down *axis, size int, out []byte) error {
	m, err := jpeg.Decode(bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	stride := 4 * region.width
	e.unpacked = sized(e.unpacked, stride*region.height)
	if cmyk, ok := m.(*image.CMYK); ok {
		copyCMYK(e.unpacked, stride, cmyk, region)
	} else if err := copyRGBX(e.unpacked, stride, m, region, jpegChroma()); err != nil {
		return err
	}
	return e.resize(e.unpacked, stride, region.height, across, down, size, out)
}

// resize turns rows of RGBX pixels into size x size RGB triples: across first, rounded to bytes, then down.
func (e *engine) resize(pixels []byte, stride, rows int, across, down *axis, size int, out []byte) error {
	wide := 3 * size
	e.rows = sized(e.rows, wide*rows)
	for y := range rows {
		horizontal(pixels[stride*y:stride*(y+1)], across, e.rows[wide*y:wide*(y+1)])
	}
	e.sums = sized(e.sums, wide)
	for y := range size {
		taps := down.table[down.stride*y : down.stride*(y+1)]
		vertical(e.rows[wide*int(taps[0]):], taps[2:2+taps[1]], e.sums, out[wide*y:wide*(y+1)])
	}
	return nil
}

// horizontal resizes one row of RGBX pixels to RGB triples.
func horizontal(from []byte, across *axis, to []byte) {
	const half = 1 << (precision - 1)
	for taps := across.table; len(to) > 0; to, taps = to[3:], taps[across.stride:] {
		pixel := from[4*taps[0]:]
		r, g, b := int32(half), int32(half), int32(half)
		for _, w := range taps[2 : 2+taps[1]] {
			r += int32(pixel[0]) * w
			g += int32(pixel[1]) * w
			b += int32(pixel[2]) * w
			pixel = pixel[4:]
		}
		to[0], to[1], to[2] = clip(r), clip(g), clip(b)
	}
}

// vertical adds up rows of bytes, as long as sums, by their weights.
func vertical(rows []byte, weights, sums []int32, to []byte) {
	for i := range sums {
		sums[i] = 1 << (precision - 1)
	}
	for _, w := range weights {
		row := rows[:len(sums)]
		for i, v := range row {
			sums[i] += int32(v) * w
		}
		rows = rows[len(sums):]
	}
	for i, sum := range sums {
		to[i] = clip(sum)
	}
}

// clip drops the fractional bits of a sum and brings it into a byte.
func clip(sum int32) byte { return byte(min(max(sum>>precision, 0), 255)) }

// copyCMYK writes a region as copyRGBX does: of the light that the black leaves, what each ink leaves, rounded as Pillow rounds.
func copyCMYK(out []byte, stride int, m *image.CMYK, region box) {
	for y := range region.height {
		from := m.Pix[m.PixOffset(region.left, region.top+y):]
		row := out[stride*y:]
		for x := range region.width {
			light := 255 - int(from[4*x+3])
			for c := range 3 {
				shade := int(from[4*x+c])*light + 128
				row[4*x+c] = byte(max(light-(shade+shade>>8)>>8, 0))
			}
		}
	}
}
