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

// maxJPEGPixels: of a JPEG image, a few rows are in memory at a time. (Progressive ones have a limit of their own.)
const maxJPEGPixels = maxPixels

// engine decodes JPEG files by libjpeg-turbo and resizes as Pillow does, in C. It must be closed, for its memory is C's. C keeps
// no pointer to Go memory from one call to the next.
type engine struct {
	decoder *C.cijepa_decoder
	whole   bool // decode images in full
	scalar  bool // use no vector instructions
}

func newEngine() *engine {
	e := &engine{decoder: C.cijepa_decoder_new()}
	if e.decoder == nil {
		panic("input: no memory for a decoder")
	}
	return e
}

func (e *engine) close() {
	C.cijepa_decoder_free(e.decoder)
	e.decoder = nil
}

// DecoderName names what decodes JPEG files in this build.
func DecoderName() string {
	name := "libjpeg-turbo " + C.GoString(C.cijepa_libjpeg_version())
	if C.cijepa_vector_unit() != 0 {
		name += ", AVX2"
	}
	return name
}

// WarnOfFallback has nothing to warn of in this build.
func WarnOfFallback(*slog.Logger, int) {}

// size reads the header.
func (e *engine) size(encoded []byte) (width, height int, err error) {
	var w, h C.int
	err = e.check(C.cijepa_jpeg_size(e.decoder, bytesOf(encoded), C.size_t(len(encoded)), &w, &h))
	return int(w), int(h), err
}

// verify decodes everything.
func (e *engine) verify(encoded []byte) error {
	return e.check(C.cijepa_jpeg_verify(e.decoder, bytesOf(encoded), C.size_t(len(encoded))))
}

// cut decodes a region and resizes it by the axes.
func (e *engine) cut(encoded []byte, region box, across, down *axis, size int, out []byte) error {
	c := e.describe(region, across, down, size)
	return e.check(C.cijepa_jpeg_cut(e.decoder, bytesOf(encoded), C.size_t(len(encoded)), &c,
		numbersOf(across.table), numbersOf(down.table), bytesOf(out[:3*size*size])))
}

// resize turns rows of RGBX pixels into size x size RGB triples.
func (e *engine) resize(pixels []byte, stride, rows int, across, down *axis, size int, out []byte) error {
	c := e.describe(box{height: rows}, across, down, size)
	return e.check(C.cijepa_resize(e.decoder, bytesOf(pixels), C.size_t(stride), &c,
		numbersOf(across.table), numbersOf(down.table), bytesOf(out[:3*size*size])))
}

func (e *engine) describe(region box, across, down *axis, size int) C.cijepa_cut {
	c := C.cijepa_cut{
		left: C.int(region.left), top: C.int(region.top), width: C.int(region.width), height: C.int(region.height),
		size: C.int(size), across_stride: C.int(across.stride), down_stride: C.int(down.stride),
	}
	if e.whole {
		c.whole = 1
	}
	if e.scalar {
		c.scalar = 1
	}
	return c
}

func (e *engine) check(failed C.int) error {
	if failed == 0 {
		return nil
	}
	return errors.New(C.GoString(C.cijepa_error(e.decoder)))
}

func bytesOf(b []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.SliceData(b)) }

func numbersOf(n []int32) *C.int32_t { return (*C.int32_t)(unsafe.SliceData(n)) }
