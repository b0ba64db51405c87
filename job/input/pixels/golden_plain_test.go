//go:build !cgo

package pixels

import "testing"

// compareGolden allows for image/jpeg's inverse DCT, which differs by a level here and there. Over
// these images the mean difference is at most 0.08 and the largest 4.
func compareGolden(t *testing.T, got, want []byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d bytes, want %d", len(got), len(want))
	}
	largest, mean := differences(got, want)
	t.Logf("mean difference %.3f, largest %d", mean, largest)
	if mean > 0.2 || largest > 8 {
		t.Errorf("mean difference %.3f, largest %d, want at most 0.2 and 8", mean, largest)
	}
}

// notAsPillow returns why image/jpeg decodes a file otherwise than Pillow, or "".
func notAsPillow(file string) string {
	switch file {
	case "no-end.jpg.decoded.png":
		return "image/jpeg requires the end marker: without cgo such files are bad samples"
	case "unrefined.jpg.decoded.png":
		return "image/jpeg does not smooth progressive images that lack their last scans"
	}
	return ""
}
