package pixels

import (
	"strings"
	"testing"
)

// TestWebPSizeIsThatOfTheBitStream: an extended file may declare a small canvas and hold a huge
// frame.
func TestWebPSizeIsThatOfTheBitStream(t *testing.T) {
	frame := []byte{0x2f, 0xff, 0xff, 0xff, 0x0f} // 16384x16384
	file := []byte("RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x03\x00\x00")
	file = append(file, "VP8L\x05\x00\x00\x00"...)
	file = append(file, frame...)
	if width, height, err := webpSize(file); err != nil || width != 16384 || height != 16384 {
		t.Errorf("webpSize = %d, %d, %v", width, height, err)
	}
	if _, _, err := Verify(file); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("Verify: %v, want the limit", err)
	}
}
