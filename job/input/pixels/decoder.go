package pixels

import (
	"bytes"
	"fmt"
	"image"
	"image/png"

	"golang.org/x/image/webp"
)

// Limits that keep a hostile or broken file from taking memory or time. They are checked on the header.
const (
	maxBytes       = 64 << 20 // of an encoded image
	maxSide        = 65500    // pixels, which is libjpeg's limit; the taps of a resize grow with it
	maxPixels      = 64 << 20 // of an image of which only a few rows are in memory at a time
	maxWholePixels = 16 << 20 // of an image that must be decoded as a whole
)

// format is how an image is encoded, told by its first bytes: file names lie (ImageNet has a PNG named .JPEG).
type format int

const (
	unknown format = iota
	jpegFormat
	pngFormat
	webpFormat
)

func sniff(image []byte) format {
	switch {
	case bytes.HasPrefix(image, []byte("\xff\xd8\xff")):
		return jpegFormat
	case bytes.HasPrefix(image, []byte("\x89PNG\r\n\x1a\n")):
		return pngFormat
	case len(image) >= 16 && bytes.HasPrefix(image, []byte("RIFF")) && bytes.HasPrefix(image[8:], []byte("WEBPVP8")):
		return webpFormat
	}
	return unknown
}

// Decoder cuts views from encoded images. It owns the memory that this needs from one image to the next, so that an image
// costs no allocation, and serves one goroutine. Every error of its methods is the image's fault.
type Decoder struct {
	engine       *engine
	across, down axis
	pixels       []byte // a region of a PNG or WebP file as RGBX
}

func NewDecoder() *Decoder { return &Decoder{engine: newEngine()} }

func (d *Decoder) Close() { d.engine.close() }

// Size reads the header and checks the limits.
func (d *Decoder) Size(encoded []byte) (width, height int, err error) {
	if len(encoded) > maxBytes {
		return 0, 0, fmt.Errorf("%d bytes are more than the limit of %d", len(encoded), maxBytes)
	}
	limit := maxWholePixels
	switch sniff(encoded) {
	case jpegFormat:
		width, height, err = d.engine.size(encoded)
		limit = maxJPEGPixels
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

// Cut writes the view of an image whose size has been read as v.size x v.size RGB triples.
func (d *Decoder) Cut(encoded []byte, v view, out []byte) error {
	left, right := d.across.fill(v.filter, v.box.width, v.width, v.x, v.size, v.mirrored)
	top, bottom := d.down.fill(v.filter, v.box.height, v.height, v.y, v.size, false)
	region := box{v.box.left + left, v.box.top + top, right - left, bottom - top}
	if sniff(encoded) == jpegFormat {
		return d.engine.cut(encoded, region, &d.across, &d.down, v.size, out)
	}
	whole, err := decodeWhole(encoded)
	if err != nil {
		return err
	}
	stride, err := d.load(whole, region)
	if err != nil {
		return err
	}
	return d.engine.resize(d.pixels, stride, region.height, &d.across, &d.down, v.size, out)
}

// load copies a region of an image to d.pixels.
func (d *Decoder) load(whole image.Image, region box) (stride int, err error) {
	stride = 4*region.width + d.across.padding()
	d.pixels = sized(d.pixels, stride*region.height)
	return stride, copyRGBX(d.pixels, stride, whole, region, webpChroma())
}

// decodeWhole decodes a PNG or WebP image. A decoder that panics over a damaged file has found a bad image, no more.
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

// Verify decodes a whole image as strictly as training will read any part of it, and returns its size in pixels. An error
// says what is wrong with the image: unknown format, beyond the limits, cut short, damaged.
func Verify(encoded []byte) (width, height int, err error) {
	d := NewDecoder()
	defer d.Close()
	if width, height, err = d.Size(encoded); err != nil {
		return 0, 0, err
	}
	if sniff(encoded) == jpegFormat {
		err = d.engine.verify(encoded)
	} else {
		_, err = decodeWhole(encoded)
	}
	if err != nil {
		return 0, 0, err
	}
	return width, height, nil
}
