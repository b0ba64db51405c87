//go:build !cgo

package input

import "testing"

// compareGolden holds image/jpeg to a mean difference of one level; it upsamples chroma by repeating it.
func compareGolden(t *testing.T, got, want []byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d bytes, want %d", len(got), len(want))
	}
	largest, mean := differences(got, want)
	t.Logf("mean difference %.3f, largest %d", mean, largest)
	if mean > 1 {
		t.Errorf("mean difference %.3f, want at most 1", mean)
	}
}
