//go:build cgo

package pixels

import (
	"bytes"
	"testing"
)

// checkFuzzedView cuts a view twice, the second time from an image that is decoded whole. An image
// may take memory for its DCT coefficients, which has a limit, and for a few rows.
func checkFuzzedView(t *testing.T, d *Decoder, encoded []byte, v View) {
	before := residentPeak(t)
	regionOut, wholeOut := make([]byte, 3*v.size*v.size), make([]byte, 3*v.size*v.size)
	regionErr := d.Cut(encoded, v, regionOut)
	d.codec.whole = true
	wholeErr := d.Cut(encoded, v, wholeOut)
	if regionErr == nil && wholeErr == nil && !bytes.Equal(regionOut, wholeOut) {
		t.Fatal("the view depends on what is decoded around it")
	}
	if regionErr != nil && wholeErr == nil {
		t.Fatalf("only the region cannot be decoded: %v", regionErr)
	}
	if grown := residentPeak(t) - before; sniff(encoded) == jpegFormat && grown > 80<<20 {
		t.Fatalf("the process grew by %d MiB", grown>>20)
	}
}
