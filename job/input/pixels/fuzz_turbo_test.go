//go:build cgo

package pixels

import (
	"bytes"
	"testing"
)

// checkFuzzedView cuts a view twice: the second time from an image that is decoded in full. The memory that an image may
// take is that of its coefficients, which has a limit, and of a few rows.
func checkFuzzedView(t *testing.T, d *Decoder, encoded []byte, v view) {
	before := residentPeak(t)
	part, whole := make([]byte, 3*v.size*v.size), make([]byte, 3*v.size*v.size)
	partly := d.Cut(encoded, v, part)
	d.engine.whole = true
	entirely := d.Cut(encoded, v, whole)
	if partly == nil && entirely == nil && !bytes.Equal(part, whole) {
		t.Fatal("the view depends on what is decoded around it")
	}
	if partly != nil && entirely == nil {
		t.Fatalf("only the region cannot be decoded: %v", partly)
	}
	if grown := residentPeak(t) - before; sniff(encoded) == jpegFormat && grown > 80<<20 {
		t.Fatalf("the process grew by %d MiB", grown>>20)
	}
}
