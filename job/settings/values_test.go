package settings

import (
	"testing"
)

func TestValuesReadAsTheyAreWritten(t *testing.T) {
	for _, s := range []string{"0", "1-11", "0,3,5-7"} {
		var d DepthSet
		if err := d.Decode(s); err != nil || d.String() != s {
			t.Errorf("DepthSet %q: %v, %v", s, d, err)
		}
	}
	for _, s := range []string{"-", "0.5", "1"} {
		var w Weight
		if err := w.Decode(s); err != nil || w.String() != s {
			t.Errorf("Weight %q: %v, %v", s, w, err)
		}
	}
	for s, want := range map[string]string{"20GB": "20GB", "64GiB": "64GiB", "1500000": "1500kB", "0": "0", "7": "7", "1e3": "1kB"} {
		var b Bytes
		if err := b.Decode(s); err != nil || b.String() != want {
			t.Errorf("Bytes %q: %v, %v", s, b, err)
		}
	}
	for _, s := range []string{"", "a", "3-1", "1-", "1,,2", "-3"} {
		if err := new(DepthSet).Decode(s); err == nil {
			t.Errorf("DepthSet takes %q", s)
		}
	}
}
