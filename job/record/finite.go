package record

import "math"

// Finite returns a pointer to v, or nil when v is NaN or infinite. JSON has no such numbers, so a
// field that may hold one is a *float64, written as null.
func Finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// FiniteAll is Finite for each of the values.
func FiniteAll(values []float64) []*float64 {
	all := make([]*float64, len(values))
	for i, v := range values {
		all[i] = Finite(v)
	}
	return all
}
