package pixels

import (
	"bytes"
	"fmt"
	"image"
	"image/png"

	"golang.org/x/image/webp"
)

// Limits that keep a hostile or damaged file from taking memory or time. Size checks them on the
// header.
const (
	maxBytes       = 64 << 20 // of an encoded image
	maxSide        = 65500    // pixels; libjpeg's limit. A table of coefficients grows with the side
	maxPixels      = 64 << 20 // of a JPEG image
	maxWholePixels = 16 << 20 // of a PNG or WebP image, of which a pixel may take eight bytes
)

// format is an encoding, recognised by the first bytes: ImageNet has a PNG file named .JPEG.
type format int

const (
	unknown format = iota
	jpegFormat
	pngFormat
	webpFormat
)

// sniff returns the format of an encoded image.
func sniff(encoded []byte) format {
	switch {
	case bytes.HasPrefix(encoded, []byte("\xff\xd8\xff")):
		return jpegFormat
	case bytes.HasPrefix(encoded, []byte("\x89PNG\r\n\x1a\n")):
		return pngFormat
	case len(encoded) >= 16 && bytes.HasPrefix(encoded, []byte("RIFF")) && bytes.HasPrefix(encoded[8:], []byte("WEBPVP8")):
		return webpFormat
	}
	return unknown
}

// Decoder cuts views from encoded JPEG, PNG and WebP images. It reuses its memory, so that a JPEG
// image costs no allocation when built with cgo. One goroutine may use it at a time, and every
// error of its methods is the image's fault.
type Decoder struct {
	codec                *codec
	horizontal, vertical coefficients
	pixels               []byte // a region of a PNG or WebP image as RGBX
}

// NewDecoder returns a decoder, which must be closed.
func NewDecoder() *Decoder { return &Decoder{codec: newCodec()} }

// Close frees the decoder's memory, which is C's when built with cgo.
func (d *Decoder) Close() { d.codec.close() }

// Size returns the size of an image in pixels, from its header. It fails if the format is unknown,
// the header is damaged or a limit is exceeded.
func (d *Decoder) Size(encoded []byte) (width, height int, err error) {
	if len(encoded) > maxBytes {
		return 0, 0, fmt.Errorf("%d bytes are more than the limit of %d", len(encoded), maxBytes)
	}
	limit := maxWholePixels
	switch sniff(encoded) {
	case jpegFormat:
		if width, height, err = d.codec.size(encoded); err == nil {
			err = checkJPEG(encoded)
		}
		limit = maxPixels
	case pngFormat:
		var c image.Config
		c, err = png.DecodeConfig(bytes.NewReader(encoded))
		width, height = c.Width, c.Height
	case webpFormat:
		width, height, err = webpSize(encoded)
	default:
		err = fmt.Errorf("neither JPEG nor PNG nor WebP: the file begins with %q", encoded[:min(len(encoded), 8)])
	}
	switch {
	case err != nil:
		return 0, 0, err
	case width < 1 || height < 1:
		return 0, 0, fmt.Errorf("the image has %dx%d pixels", width, height)
	case width > maxSide || height > maxSide:
		return 0, 0, fmt.Errorf("%dx%d pixels have a side beyond the limit of %d", width, height, maxSide)
	case width > limit/height:
		return 0, 0, fmt.Errorf("%dx%d pixels are more than the limit of %d", width, height, limit)
	}
	return width, height, nil
}

// Cut decodes the part of an image that the view v needs, resizes it and writes it to out as RGB
// bytes, [size, size, 3]. The view must be one of an image of the size that Size returned.
func (d *Decoder) Cut(encoded []byte, v View, out []byte) error {
	left, right := d.horizontal.compute(v.filter, v.box.width, v.width, v.x, v.size, v.mirrored)
	top, bottom := d.vertical.compute(v.filter, v.box.height, v.height, v.y, v.size, false)
	region := box{v.box.left + left, v.box.top + top, right - left, bottom - top}
	if sniff(encoded) == jpegFormat {
		return d.codec.cut(encoded, region, &d.horizontal, &d.vertical, v.size, out)
	}
	whole, err := decodeWhole(encoded)
	if err != nil {
		return err
	}
	stride := 4*region.width + d.horizontal.padding() // which a resize may read
	d.pixels = grow(d.pixels, stride*region.height)
	if err := copyRGBX(d.pixels, stride, whole, region, webpChroma()); err != nil {
		return err
	}
	return d.codec.resize(d.pixels, stride, region.height, &d.horizontal, &d.vertical, v.size, out)
}

// decodeWhole decodes a PNG or WebP image. A panic of the decoder is returned as an error: the
// image is damaged.
func decodeWhole(encoded []byte) (whole image.Image, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("the decoder gave up: %v", fault)
		}
	}()
	if sniff(encoded) == pngFormat {
		return png.Decode(bytes.NewReader(encoded))
	}
	return webp.Decode(bytes.NewReader(encoded))
}

// Verify decodes a whole image as strictly as Decoder.Cut decodes any part of it, and returns its
// size in pixels. The error says what is wrong: unknown format, beyond a limit, cut short, damaged.
func Verify(encoded []byte) (width, height int, err error) {
	d := NewDecoder()
	defer d.Close()
	if width, height, err = d.Size(encoded); err != nil {
		return 0, 0, err
	}
	if sniff(encoded) == jpegFormat {
		err = d.codec.verify(encoded)
	} else {
		_, err = decodeWhole(encoded)
	}
	if err != nil {
		return 0, 0, err
	}
	return width, height, nil
}
