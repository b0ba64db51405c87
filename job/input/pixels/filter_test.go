package pixels

import "testing"

// TestFilterNamesArePillows, in lower case.
func TestFilterNamesArePillows(t *testing.T) {
	if Bilinear.String() != "bilinear" || Bicubic.String() != "bicubic" || Filter(9).String() != "Filter(9)" {
		t.Error(Bilinear, Bicubic, Filter(9))
	}
}
