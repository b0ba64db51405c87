package settings

import (
	"errors"
	"strings"
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

// TestListenAddressIsAnOptionalHostAndAPort: an address that cannot be bound is a settings error.
func TestListenAddressIsAnOptionalHostAndAPort(t *testing.T) {
	for address, ok := range map[string]bool{
		":9090": true, "127.0.0.1:0": true, "[::1]:9090": true,
		"9090": false, ":": false, ":65536": false, ":http": false, "a:b:1": false,
	} {
		if got := isAddress(address); got != ok {
			t.Errorf("%q: %v", address, got)
		}
	}
}

// TestFaultsSayWhatWouldWork in words of the user.
func TestFaultsSayWhatWouldWork(t *testing.T) {
	t.Setenv("CIJEPA_BUCKET", "mem://")
	for name, c := range map[string]struct{ value, says string }{
		"CIJEPA_RUN":      {"a b", "CIJEPA_RUN=a b: letters, digits, dots, dashes and underscores, 100 at most"},
		"CIJEPA_PEAK_LR":  {"101", "CIJEPA_PEAK_LR=101: above 0, 100 at most"},
		"CIJEPA_PROBE_LR": {"0", "CIJEPA_PROBE_LR=0: above 0, 100 at most"},
		"CIJEPA_IMAGE":    {"16384", "CIJEPA_IMAGE=16384: at most "},
		"CIJEPA_KNN_K":    {"-1", "CIJEPA_KNN_K=-1: 0 to 10000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, c.value)
			if _, err := Load("", nil); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

// TestDepthsEndAtTheLastBlock: an encoder with blocks that no loss reaches is refused, with the
// values that would work.
func TestDepthsEndAtTheLastBlock(t *testing.T) {
	for _, c := range []struct{ preset, depth, depths, says string }{
		{"demo", "6", "0-3", "CIJEPA_DEPTHS=0-3: must end at 5, the last block: blocks behind the last depth would never be trained; set CIJEPA_DEPTHS=0-5, or CIJEPA_DEPTH=4"},
		{"L200", "24", "11", "set CIJEPA_DEPTHS=23, or CIJEPA_DEPTH=12"},
		{"demo", "2", "0-3", "CIJEPA_DEPTHS=0-3: must lie in 0..1"},
		{"demo", "6", "1,3,5", ""},
	} {
		t.Setenv("CIJEPA_BUCKET", "mem://")
		t.Setenv("CIJEPA_PRESET", c.preset)
		t.Setenv("CIJEPA_DEPTH", c.depth)
		t.Setenv("CIJEPA_DEPTHS", c.depths)
		if _, err := Load("", nil); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
