package settings

import (
	"testing"
)

// TestFormats: numbers as messages show them.
func TestFormats(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{FormatBytes(12), "12 bytes"}, {FormatBytes(1500), "1.50 kB"}, {FormatBytes(85.52e9), "85.52 GB"}, {FormatBytes(3e15), "3000.00 TB"},
		{FormatSeconds(0.2), "0.2 s"}, {FormatSeconds(60), "60.0 s"}, {FormatSeconds(180), "3.0 min"}, {FormatSeconds(40.5 * 3600), "40.5 h"},
		{FormatSeconds(2400 * 3600), "2400 h (100 days)"}, {FormatNumber(1234.56), "1235"}, {FormatNumber(5e-4), "0.0005"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
