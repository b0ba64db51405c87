package machine

import "testing"

// TestDriverVersionIsFound in what drivers print.
func TestDriverVersionIsFound(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "",
		"something else\n": "",
		"NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32 UTC 2023\nGCC version:  gcc version 11.4.0\n":                                                       "535.129.03",
		"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder@U16-I3)  Thu Jan 23 22:50:36 UTC 2025\nGCC version:  gcc version 12.2.0 (Debian)\n": "570.86.15",
	} {
		if got := parseDriver([]byte(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
