package pixels

import (
	"encoding/binary"
	"errors"
)

// webpSize returns the size of a WebP image in pixels, from the header of its bit stream. The
// canvas size in an extended file's header is not checked by the decoder, which allocates for the
// bit stream's size.
func webpSize(file []byte) (width, height int, err error) {
	for rest := file[12:]; len(rest) >= 8; { // 12 bytes: RIFF, length, WEBP
		name, length := string(rest[:4]), uint64(binary.LittleEndian.Uint32(rest[4:]))
		rest = rest[8:]
		switch {
		case name == "VP8 " && len(rest) >= 10 && string(rest[3:6]) == "\x9d\x01\x2a": // lossy: 14 bits each
			w, h := binary.LittleEndian.Uint16(rest[6:]), binary.LittleEndian.Uint16(rest[8:])
			return int(w & 0x3fff), int(h & 0x3fff), nil
		case name == "VP8L" && len(rest) >= 5 && rest[0] == 0x2f: // lossless: 14 bits each, less 1
			bits := binary.LittleEndian.Uint32(rest[1:])
			return int(bits&0x3fff) + 1, int(bits>>14&0x3fff) + 1, nil
		case name == "VP8 " || name == "VP8L":
			return 0, 0, errors.New("webp: damaged header")
		}
		length += length & 1 // chunks begin at even offsets
		if length > uint64(len(rest)) {
			break
		}
		rest = rest[length:]
	}
	return 0, 0, errors.New("webp: no still image in the file")
}

// webpChroma returns libwebp's "fancy upsampling" and its conversion of limited-range colours
// (src/dsp/yuv.h), which differs from image/color's.
func webpChroma() *chroma {
	return &chroma{
		rounding: func(int, int, int) [2]int { return [2]int{8, 8} },
		colour: func(y, u, v int) (r, g, b byte) {
			y = 19077 * y >> 8
			return webpClip(y + 26149*v>>8 - 14234),
				webpClip(y - 6419*u>>8 - 13320*v>>8 + 8708),
				webpClip(y + 33050*u>>8 - 17685)
		},
	}
}

// webpClip drops six fractional bits of a colour and clamps it to a byte.
func webpClip(v int) byte { return byte(min(max(v>>6, 0), 255)) }
