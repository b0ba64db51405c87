//go:build !cgo

package pixels

import (
	"bytes"
	"image"
	"image/jpeg"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// codec decodes JPEG files and resizes, without cgo. image/jpeg's inverse DCT differs from
// libjpeg's by a level here and there; Pillow's upsampling, colours and resize follow in Go.
type codec struct {
	pixels []byte  // the decoded region, RGBX
	rows   []byte  // the region after the horizontal pass, RGB
	sums   []int32 // one row of the vertical pass
}

func newCodec() *codec  { return new(codec) }
func (c *codec) close() {}

// fallbackWarning limits the warning to one a process, however many loaders it has.
var fallbackWarning sync.Once

// thumbnail is the largest side of images that decode fast enough here, such as the
// demonstration's.
const thumbnail = 64

// WarnOfFallback warns, once in a process, that this build decodes slowly and not quite to Pillow's
// pixels. Size is the side of the squares in pixels; there is no warning for up to 64.
func WarnOfFallback(log *slog.Logger, size int) {
	if size <= thumbnail {
		return
	}
	fallbackWarning.Do(func() {
		log.Warn("built without cgo: images are decoded several times slower, and not quite to Pillow's pixels",
			"decoder", DecoderName())
	})
}

// DecoderName returns the name of this build's JPEG decoder.
func DecoderName() string { return "image/jpeg" }

// size reads the header.
func (c *codec) size(encoded []byte) (width, height int, err error) {
	config, err := jpeg.DecodeConfig(bytes.NewReader(encoded))
	return config.Width, config.Height, err
}

// verify decodes the whole image.
func (c *codec) verify(encoded []byte) error {
	_, err := decodeJPEG(encoded)
	return err
}

// decodeJPEG decodes a file that may lack its end marker, as libjpeg takes it.
func decodeJPEG(encoded []byte) (image.Image, error) {
	return jpeg.Decode(io.MultiReader(bytes.NewReader(encoded), strings.NewReader("\xff\xd9")))
}

// cut decodes a region and resizes it to size x size RGB triples.
func (c *codec) cut(encoded []byte, region box, horizontal, vertical *coefficients, size int, out []byte) error {
	m, err := decodeJPEG(encoded)
	if err != nil {
		return err
	}
	stride := 4 * region.width
	c.pixels = grow(c.pixels, stride*region.height)
	if cmyk, ok := m.(*image.CMYK); ok {
		copyCMYK(c.pixels, stride, cmyk, region)
	} else if err := copyRGBX(c.pixels, stride, m, region, jpegChroma()); err != nil {
		return err
	}
	return c.resize(c.pixels, stride, region.height, horizontal, vertical, size, out)
}

// resize turns rows of RGBX pixels into size x size RGB triples: the horizontal pass, rounded to
// bytes, then the vertical one.
func (c *codec) resize(pixels []byte, stride, rows int, horizontal, vertical *coefficients, size int, out []byte) error {
	wide := 3 * size
	c.rows = grow(c.rows, wide*rows)
	for y := range rows {
		horizontalPass(pixels[stride*y:stride*(y+1)], horizontal, c.rows[wide*y:wide*(y+1)])
	}
	c.sums = grow(c.sums, wide)
	for y := range size {
		taps := vertical.table[vertical.stride*y : vertical.stride*(y+1)]
		verticalPass(c.rows[wide*int(taps[0]):], taps[2:2+taps[1]], c.sums, out[wide*y:wide*(y+1)])
	}
	return nil
}

// horizontalPass resizes one row of RGBX pixels to RGB triples.
func horizontalPass(from []byte, horizontal *coefficients, to []byte) {
	const half = 1 << (precision - 1)
	for taps := horizontal.table; len(to) > 0; to, taps = to[3:], taps[horizontal.stride:] {
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

// verticalPass writes the weighted sum of consecutive rows of bytes, one for each weight. A row is
// as long as sums.
func verticalPass(rows []byte, weights, sums []int32, to []byte) {
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

// clip drops the fractional bits of a sum and clamps it to a byte.
func clip(sum int32) byte { return byte(min(max(sum>>precision, 0), 255)) }

// copyCMYK is copyRGBX for CMYK images. A channel is (255-black) * (255-ink) / 255, rounded as
// Pillow rounds.
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
