//go:build cgo

package pixels

/*
#cgo CFLAGS: -O3 -Wall -Wextra
#cgo LDFLAGS: -Wl,-Bstatic -ljpeg -Wl,-Bdynamic
#cgo noescape cijepa_jpeg_size
#cgo nocallback cijepa_jpeg_size
#cgo noescape cijepa_jpeg_verify
#cgo nocallback cijepa_jpeg_verify
#cgo noescape cijepa_jpeg_cut
#cgo nocallback cijepa_jpeg_cut
#cgo noescape cijepa_resize
#cgo nocallback cijepa_resize
#include "turbo.h"
*/
import "C"

import (
	"errors"
	"log/slog"
	"unsafe"
)

// codec decodes JPEG files with libjpeg-turbo and resizes as Pillow does, in C. It must be closed
// to free C's memory. C keeps no pointer to Go memory between calls.
type codec struct {
	decoder *C.cijepa_decoder
	whole   bool // decode whole images; set by tests, changes no pixel
	scalar  bool // use no vector instructions; set by tests, changes no pixel
}

func newCodec() *codec {
	c := &codec{decoder: C.cijepa_decoder_new()}
	if c.decoder == nil {
		panic("pixels: no memory for a decoder")
	}
	return c
}

func (c *codec) close() {
	C.cijepa_decoder_free(c.decoder)
	c.decoder = nil
}

// DecoderName returns the name and version of this build's JPEG decoder, and whether AVX2 is used.
func DecoderName() string {
	name := "libjpeg-turbo " + C.GoString(C.cijepa_libjpeg_version())
	if C.cijepa_has_avx2() != 0 {
		name += ", AVX2"
	}
	return name
}

// WarnOfFallback does nothing in this build. Without cgo it warns, once in a process, of a slow
// decoder.
func WarnOfFallback(*slog.Logger, int) {}

// size reads the header.
func (c *codec) size(encoded []byte) (width, height int, err error) {
	var w, h C.int
	err = c.check(C.cijepa_jpeg_size(c.decoder, bytesOf(encoded), C.size_t(len(encoded)), &w, &h))
	return int(w), int(h), err
}

// verify decodes the whole image.
func (c *codec) verify(encoded []byte) error {
	return c.check(C.cijepa_jpeg_verify(c.decoder, bytesOf(encoded), C.size_t(len(encoded))))
}

// cut decodes a region and resizes it to size x size RGB triples.
func (c *codec) cut(encoded []byte, region box, horizontal, vertical *coefficients, size int, out []byte) error {
	cut := c.describe(region, horizontal, vertical, size)
	return c.check(C.cijepa_jpeg_cut(c.decoder, bytesOf(encoded), C.size_t(len(encoded)), &cut,
		numbersOf(horizontal.table), numbersOf(vertical.table), bytesOf(out[:3*size*size])))
}

// resize turns rows of RGBX pixels into size x size RGB triples. Rows end with the padding of the
// horizontal coefficients.
func (c *codec) resize(pixels []byte, stride, rows int, horizontal, vertical *coefficients, size int, out []byte) error {
	cut := c.describe(box{height: rows}, horizontal, vertical, size)
	return c.check(C.cijepa_resize(c.decoder, bytesOf(pixels), C.size_t(stride), &cut,
		numbersOf(horizontal.table), numbersOf(vertical.table), bytesOf(out[:3*size*size])))
}

// describe returns the numbers of a cut as C takes them.
func (c *codec) describe(region box, horizontal, vertical *coefficients, size int) C.cijepa_cut {
	cut := C.cijepa_cut{
		left: C.int(region.left), top: C.int(region.top), width: C.int(region.width), height: C.int(region.height),
		size: C.int(size), horizontal_stride: C.int(horizontal.stride), vertical_stride: C.int(vertical.stride),
	}
	if c.whole {
		cut.whole = 1
	}
	if c.scalar {
		cut.scalar = 1
	}
	return cut
}

// check turns C's result into an error with C's message.
func (c *codec) check(failed C.int) error {
	if failed == 0 {
		return nil
	}
	return errors.New(C.GoString(C.cijepa_error(c.decoder)))
}

func bytesOf(b []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.SliceData(b)) }

func numbersOf(n []int32) *C.int32_t { return (*C.int32_t)(unsafe.SliceData(n)) }
