package model

import (
	"os"
	"strings"
	"testing"

	_ "github.com/gomlx/compute/gobackend"
)

// testDevice is the pure Go backend, or the XLA plugin that CIJEPA_XLA_PLUGIN names.
func testDevice(t testing.TB) *Device {
	t.Helper()
	name := "go:ops_sequential"
	if plugin := os.Getenv("CIJEPA_XLA_PLUGIN"); plugin != "" {
		name = "xla:" + plugin
	}
	d, err := OpenDevice(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func TestOpenDeviceRefuses(t *testing.T) {
	for name, want := range map[string]string{
		"go":           "can hang",
		"go:":          "can hang",
		"nonsense":     "nonsense",
		"nonsense:way": "nonsense",
	} {
		d, err := OpenDevice(name)
		if err == nil {
			d.Close()
			t.Errorf("%q was opened", name)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want a word of %q", name, err, want)
		}
	}
}
