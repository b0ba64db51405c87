package draw

import (
	"math"
	"testing"
)

// The logarithm is within one unit of the last place of math.Log.
func TestLogarithmIsWithinOneUlp(t *testing.T) {
	s := New(0, "test")
	for range 200_000 {
		x := s.Float64()
		if s.IntN(2) == 0 {
			x = math.Ldexp(x, -s.IntN(1000))
		}
		if x == 0 {
			continue
		}
		got, want := logarithm(x), math.Log(x)
		if math.Abs(got-want) > math.Nextafter(math.Abs(want), math.Inf(1))-math.Abs(want) {
			t.Fatalf("logarithm(%v) = %v, want %v", x, got, want)
		}
	}
	if got := logarithm(1); got != 0 {
		t.Errorf("logarithm(1) = %v", got)
	}
}
