package pixels

import (
	"image"
	"testing"
)

// TestPixelBeyondThePaletteIsAnError: a PNG file may hold one.
func TestPixelBeyondThePaletteIsAnError(t *testing.T) {
	m := image.NewPaletted(image.Rect(0, 0, 4, 4), nil)
	if err := copyRGBX(make([]byte, 64), 16, m, box{width: 4, height: 4}, nil); err == nil {
		t.Error("no error for a palette without colours")
	}
}

// TestRegionBeyondTheImageIsAnError: the header may declare more pixels than the decoder returns.
func TestRegionBeyondTheImageIsAnError(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, 4, 4))
	if err := copyRGBX(make([]byte, 1000), 20, m, box{width: 5, height: 4}, nil); err == nil {
		t.Error("no error for a region beyond the image")
	}
}
