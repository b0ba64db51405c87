package pixels

import (
	"encoding/binary"
	"errors"
)

// webpSize reads the size from the header of the bit stream itself. The canvas of an extended file may say anything, while
// it is the bit stream's size that memory is taken for.
func webpSize(file []byte) (width, height int, err error) {
	for rest := file[12:]; len(rest) >= 8; {
		name, length := string(rest[:4]), uint64(binary.LittleEndian.Uint32(rest[4:]))
		rest = rest[8:]
		switch {
		case name == "VP8 " && len(rest) >= 10 && string(rest[3:6]) == "\x9d\x01\x2a":
			return int(binary.LittleEndian.Uint16(rest[6:]) & 0x3fff), int(binary.LittleEndian.Uint16(rest[8:]) & 0x3fff), nil
		case name == "VP8L" && len(rest) >= 5 && rest[0] == 0x2f:
			bits := binary.LittleEndian.Uint32(rest[1:])
			return int(bits&0x3fff) + 1, int(bits>>14&0x3fff) + 1, nil
		case name == "VP8 " || name == "VP8L":
			return 0, 0, errors.New("webp: damaged header")
		}
		length += length & 1 // chunks begin at even places
		if length > uint64(len(rest)) {
			break
		}
		rest = rest[length:]
	}
	return 0, 0, errors.New("webp: no still image in the file")
}

// webpChroma returns libwebp's "fancy upsampling" and its conversion of colours of limited range (src/dsp/yuv.h), which is not
// that of image/color.
func webpChroma() *chroma {
	return &chroma{
		rounding: func(int, int, int) [2]int { return [2]int{8, 8} },
		colour: func(y, u, v int) (r, g, b byte) {
			y = 19077 * y >> 8
			return webpLevel(y + 26149*v>>8 - 14234), webpLevel(y - 6419*u>>8 - 13320*v>>8 + 8708), webpLevel(y + 33050*u>>8 - 17685)
		},
	}
}

// webpLevel drops six fractional bits of a colour and brings it into a byte.
func webpLevel(v int) byte { return byte(min(max(v>>6, 0), 255)) }
