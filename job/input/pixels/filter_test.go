package pixels

import "testing"

func TestFilterNames(t *testing.T) {
	if Bilinear.String() != "bilinear" || Bicubic.String() != "bicubic" || Filter(9).String() != "Filter(9)" {
		t.Error(Bilinear, Bicubic, Filter(9))
	}
}
