//go:build !cgo

package pixels

import "testing"

// checkFuzzedView cuts a view twice, which must give the same pixels.
func checkFuzzedView(t *testing.T, d *Decoder, encoded []byte, v View) {
	first, second := make([]byte, 3*v.size*v.size), make([]byte, 3*v.size*v.size)
	if d.Cut(encoded, v, first) != nil {
		return
	}
	if err := d.Cut(encoded, v, second); err != nil || string(first) != string(second) {
		t.Fatalf("a second decode differs (%v)", err)
	}
}
