//go:build cgo

package pixels

import "testing"

// compareGolden allows no difference.
func compareGolden(t *testing.T, got, want []byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d bytes, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			largest, mean := differences(got, want)
			t.Fatalf("byte %d is %d, want %d; mean difference %.3f, largest %d", i, got[i], want[i], mean, largest)
		}
	}
}

// notAsPillow names no file: all are read as Pillow reads them.
func notAsPillow(string) string { return "" }
