//go:build !cgo

package pixels

import "testing"

// compareGolden allows what comes of image/jpeg's other arithmetic in the inverse cosine transform, a level here and there: a
// mean difference of at most 0.08 and a largest of 4 over these images.
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

// notAsPillow names the files that image/jpeg reads otherwise.
func notAsPillow(file string) string {
	switch file {
	case "no-end.jpg.decoded.png":
		return "image/jpeg wants the end marker: without cgo such files are bad samples"
	case "unrefined.jpg.decoded.png":
		return "image/jpeg does not smooth progressive images that lack their last scans"
	}
	return ""
}
