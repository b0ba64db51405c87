package pixels

import "fmt"

// Filter is the kernel of a resize as Pillow defines it: a reduction widens it by its factor, so
// that every source pixel counts.
type Filter int

const (
	Bilinear Filter = iota // a triangle of radius 1
	Bicubic                // Keys' cubic of radius 2 with a = -0.5
)

// String returns Pillow's name of the filter, in lower case.
func (f Filter) String() string {
	switch f {
	case Bilinear:
		return "bilinear"
	case Bicubic:
		return "bicubic"
	}
	return fmt.Sprintf("Filter(%d)", int(f))
}

// radius returns half the width of the kernel, in source pixels of an enlargement.
func (f Filter) radius() float64 {
	if f == Bicubic {
		return 2
	}
	return 1
}

// weight returns the kernel at distance x. The conversions to float64 forbid fused multiply-adds,
// which would change the last bit on some processors.
func (f Filter) weight(x float64) float64 {
	if x < 0 {
		x = -x
	}
	if f == Bilinear {
		if x < 1 {
			return 1 - x
		}
		return 0
	}
	const a = -0.5
	switch {
	case x < 1:
		return float64((float64((a+2)*x)-(a+3))*x*x) + 1
	case x < 2:
		return (float64((float64((x-5)*x)+8)*x) - 4) * a
	}
	return 0
}
