package pack

import (
	"bytes"
	"encoding/binary"
	"hash/adler32"
	"hash/crc32"
)

// greyPNG encodes 8-bit grey pixels, row by row, as a PNG file. The pixels are stored, not compressed: the file is then a
// function of the pixels alone, where a compressor's output changes between releases of Go, and with it the checksum of every
// shard. A 28x28 image takes 880 bytes, two of a tar file's 512-byte blocks.
func greyPNG(pixels []byte, width, height int) []byte {
	var rows bytes.Buffer
	for y := range height {
		rows.WriteByte(0) // no filter
		rows.Write(pixels[y*width : (y+1)*width])
	}
	raw := rows.Bytes()

	zlib := []byte{0x78, 0x01}
	for checksum := adler32.Checksum(raw); ; {
		const largest = 1<<16 - 1 // of a stored block
		block := raw[:min(len(raw), largest)]
		raw = raw[len(block):]
		last := byte(0)
		if len(raw) == 0 {
			last = 1
		}
		zlib = append(zlib, last)
		zlib = binary.LittleEndian.AppendUint16(zlib, uint16(len(block)))
		zlib = binary.LittleEndian.AppendUint16(zlib, ^uint16(len(block)))
		zlib = append(zlib, block...)
		if last == 1 {
			zlib = binary.BigEndian.AppendUint32(zlib, checksum)
			break
		}
	}

	header := binary.BigEndian.AppendUint32(nil, uint32(width))
	header = binary.BigEndian.AppendUint32(header, uint32(height))
	header = append(header, 8, 0, 0, 0, 0) // bits, grey, deflate, adaptive filter, not interlaced

	png := []byte("\x89PNG\r\n\x1a\n")
	png = pngChunk(png, "IHDR", header)
	png = pngChunk(png, "IDAT", zlib)
	return pngChunk(png, "IEND", nil)
}

func pngChunk(png []byte, kind string, data []byte) []byte {
	png = binary.BigEndian.AppendUint32(png, uint32(len(data)))
	start := len(png)
	png = append(png, kind...)
	png = append(png, data...)
	return binary.BigEndian.AppendUint32(png, crc32.ChecksumIEEE(png[start:]))
}
