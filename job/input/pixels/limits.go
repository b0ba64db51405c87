package pixels

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// Limits of a JPEG image in several scans, the same for both decoders. turbo_decode.c has them too:
// there they hold whatever a damaged file makes of its markers.
const (
	maxScans        = 100      // encoders write about ten; each costs a pass over the image
	maxCoefficients = 64 << 20 // bytes, two for each, that are kept until the last scan
)

var (
	errScans        = errors.New("the image has too many scans")
	errCoefficients = errors.New("the image has several scans and too many pixels to keep them all")
)

// JPEG markers, ISO/IEC 10918-1, table B.1.
const (
	markerSOI  = 0xd8
	markerEOI  = 0xd9
	markerSOS  = 0xda
	markerTEM  = 0x01
	markerRST0 = 0xd0
	markerRST7 = 0xd7
)

// checkJPEG refuses a JPEG image whose decoding would take too much time or memory. It follows the
// markers from the first to the end of the image and decodes nothing. What it cannot follow is left
// to the decoder.
func checkJPEG(encoded []byte) error {
	var frame jpegFrame
	scans := 0
	for at := 2; ; {
		marker, next := nextMarker(encoded, at)
		switch {
		case marker == 0 || marker == markerEOI:
			return nil
		case marker == markerSOI, marker == markerTEM, marker >= markerRST0 && marker <= markerRST7:
			at = next // it stands alone
			continue
		case next+2 > len(encoded):
			return nil
		}
		length := int(binary.BigEndian.Uint16(encoded[next:]))
		if length < 2 || next+length > len(encoded) {
			return nil
		}
		segment := encoded[next+2 : next+length]
		switch {
		case isFrame(marker):
			frame = parseFrame(marker, segment)
		case marker == markerSOS:
			if scans++; scans > maxScans {
				return errScans
			}
			if several := frame.progressive || len(segment) > 0 && int(segment[0]) < frame.components; several &&
				frame.coefficientBytes() > maxCoefficients {
				return errCoefficients
			}
		}
		at = next + length // of a scan: its entropy-coded bytes, in which nextMarker finds none
	}
}

// nextMarker finds the next marker from a position on, and the position behind it; 0 at the end of
// the bytes. A byte 0xff is followed by 0 where it is none.
func nextMarker(encoded []byte, at int) (marker byte, next int) {
	for at+1 < len(encoded) {
		skip := bytes.IndexByte(encoded[at:len(encoded)-1], 0xff)
		if skip < 0 {
			break
		}
		at += skip
		if second := encoded[at+1]; second != 0 && second != 0xff {
			return second, at + 2
		}
		at++
	}
	return 0, len(encoded)
}

// isFrame reports whether a marker begins the header of a frame: SOF0 to SOF15 but for DHT, JPG and
// DAC, which stand among them.
func isFrame(marker byte) bool {
	return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc
}

// maxComponents is what decoders take: one grey, three of YCbCr or RGB, four of CMYK.
const maxComponents = 4

// jpegFrame is what a frame's header says. Its size is fixed, so that an image costs no allocation.
type jpegFrame struct {
	progressive   bool
	width, height int
	components    int
	sampling      [maxComponents][2]int // of each component, horizontal and vertical
}

func parseFrame(marker byte, segment []byte) (f jpegFrame) {
	if len(segment) < 6 || segment[5] > maxComponents || len(segment) < 6+3*int(segment[5]) {
		return f // the decoder refuses it
	}
	f.progressive = marker == 0xc2 || marker == 0xc6 || marker == 0xca || marker == 0xce
	f.height, f.width = int(binary.BigEndian.Uint16(segment[1:])), int(binary.BigEndian.Uint16(segment[3:]))
	f.components = int(segment[5])
	for i := range f.components {
		both := segment[6+3*i+1]
		f.sampling[i] = [2]int{int(both >> 4), int(both & 15)}
	}
	return f
}

// coefficientBytes is the size of all coefficients, two bytes each, in blocks of 8 x 8.
func (f jpegFrame) coefficientBytes() (size int) {
	largest := [2]int{1, 1}
	for _, s := range f.sampling[:f.components] {
		largest[0], largest[1] = max(largest[0], s[0]), max(largest[1], s[1])
	}
	blocks := func(side, sampling, largest int) int { return (side*sampling + 8*largest - 1) / (8 * largest) }
	for _, s := range f.sampling[:f.components] {
		size += 2 * 64 * blocks(f.width, s[0], largest[0]) * blocks(f.height, s[1], largest[1])
	}
	return size
}
