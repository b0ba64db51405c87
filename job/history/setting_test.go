package history

import (
	"encoding/json"
	"testing"
)

// TestSettingsAreAsTyped: without the last bits of arithmetic, and with every digit that was typed.
func TestSettingsAreAsTyped(t *testing.T) {
	for raw, want := range map[string]string{
		"null": "-", `"bfloat16"`: "bfloat16", "true": "true", "[0,1,2,5]": "0-2,5", "[0.7000000000000001, 1]": "0.7,1",
		"0.00030000000000000003": "0.0003", "0.30000000000000004": "0.3", "0.000123456789": "0.000123456789", "0.123456789012345": "0.123456789012345",
		"1e-6": "1e-06", "0.5": "0.5", "2.0": "2", "-0.25": "-0.25", "1.7976931348623157e308": "1.7976931348623157e+308", "5e-324": "5e-324",
		"0": "0", "50000000": "50000000", "18446744073709551615": "18446744073709551615",
	} {
		if got := (Recipe{"X": json.RawMessage(raw)}).Setting("X"); got != want {
			t.Errorf("%s is shown as %q, want %q", raw, got, want)
		}
	}
	if got := (Recipe{}).Setting("X"); got != "" {
		t.Errorf("a setting that is not there is shown as %q", got)
	}
}

// TestNumbersOfFifteenDigitsStayApart: no two that one can type are shown as the same.
func TestNumbersOfFifteenDigitsStayApart(t *testing.T) {
	a, b := Recipe{"X": json.RawMessage("0.100000000000001")}, Recipe{"X": json.RawMessage("0.100000000000002")}
	if a.Setting("X") == b.Setting("X") {
		t.Errorf("both are %s", a.Setting("X"))
	}
}
