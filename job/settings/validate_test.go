package settings

import (
	"errors"
	"testing"
)

// TestTooLargeValuesAreRefused before anything is opened: products of them could overflow.
func TestTooLargeValuesAreRefused(t *testing.T) {
	t.Setenv("CIJEPA_BUCKET", "mem://")
	for name, value := range map[string]string{
		"CIJEPA_EPOCHS": "100000000000000000", "CIJEPA_KEEP_EVERY": "4611686018427387904", "CIJEPA_EVAL_EVERY": "1000001", "CIJEPA_IMAGE": "8192",
		"CIJEPA_PROBE_EPOCHS": "1000001", "CIJEPA_PROBE_BATCH": "1000001", "CIJEPA_KNN_K": "10001",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			var settings *Error
			if _, err := Load("", nil); !errors.As(err, &settings) || settings.Faults[0].Variable != name {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestDataIsAFolder(t *testing.T) {
	t.Setenv("CIJEPA_BUCKET", "mem://")
	for data, fits := range map[string]bool{"imagenet-100": true, "sets/imagenet-100": true, "": true, "/a": false, "a/": false, "a//b": false, "../a": false, ".": false} {
		t.Setenv("CIJEPA_DATA", data)
		var settings *Error
		if _, err := Load("", nil); (err == nil) != fits || !fits && !errors.As(err, &settings) {
			t.Errorf("%q: %v", data, err)
		}
	}
}
