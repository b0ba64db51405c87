package predictions

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzDecode: whatever bytes are refused, or valid predictions that are written and read again.
func FuzzDecode(f *testing.F) {
	p := simulated(5, 10, 2)
	object, err := p.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(object)
	f.Add(object[:100])
	f.Fuzz(func(t *testing.T, object []byte) {
		got, err := Decode(object, shapeOf(p))
		if err != nil {
			return
		}
		again, err := got.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(again, shapeOf(p))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(got, back); d != "" {
			t.Error(d)
		}
	})
}
