package draw

import "math"

// logarithm is the natural logarithm of a normal x > 0, within one unit of the last place, and the
// same to the last bit on every machine: math.Log is assembly on some processors and fused
// multiply-adds on others.
//
// x = 2^k (1 + f) with 1 + f in (sqrt(1/2), sqrt(2)]; with s = f / (2 + f), log(1 + f) = 2 atanh(s)
// is summed as in FreeBSD's e_log.c, whose minimax coefficients these are.
func logarithm(x float64) float64 {
	const (
		ln2High = 6.93147180369123816490e-01 // k ln2High is exact for every exponent k
		ln2Low  = 1.90821492927058770002e-10
		l1      = 6.666666666666735130e-01
		l2      = 3.999999999940941908e-01
		l3      = 2.857142874366239149e-01
		l4      = 2.222219843214978396e-01
		l5      = 1.818357216161805012e-01
		l6      = 1.531383769920937332e-01
		l7      = 1.479819860511658591e-01
	)
	fraction, exponent := math.Frexp(x)
	if fraction < math.Sqrt2/2 {
		fraction *= 2
		exponent--
	}
	// The conversions forbid fused multiply-adds.
	f, k := fraction-1, float64(exponent)
	s := f / (2 + f)
	s2 := s * s
	s4 := s2 * s2
	odd := float64(s2 * (l1 + float64(s4*(l3+float64(s4*(l5+float64(s4*l7)))))))
	even := float64(s4 * (l2 + float64(s4*(l4+float64(s4*l6)))))
	half := 0.5 * float64(f*f)
	return float64(k*ln2High) - ((half - (float64(s*(half+(odd+even))) + float64(k*ln2Low))) - f)
}
