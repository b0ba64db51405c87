//go:build !cgo

package input

import "testing"

// checkFuzzedView cuts a view twice, which must give the same.
func checkFuzzedView(t *testing.T, d *decoder, encoded []byte, v view) {
	first, second := make([]byte, 3*v.size*v.size), make([]byte, 3*v.size*v.size)
	if d.cut(encoded, v, first) != nil {
		return
	}
	if err := d.cut(encoded, v, second); err != nil || string(first) != string(second) {
		t.Fatalf("a second decode differs (%v)", err)
	}
}
