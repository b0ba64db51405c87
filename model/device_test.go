package model

import (
	"os"
	"strings"
	"testing"
	"time"

	_ "github.com/gomlx/compute/gobackend"
)

// testDevice is the pure Go backend, or the XLA plugin that CIJEPA_XLA_PLUGIN names.
func testDevice(t testing.TB) *Device {
	t.Helper()
	name := "go:ops_sequential"
	if plugin := os.Getenv("CIJEPA_XLA_PLUGIN"); plugin != "" {
		name = "xla:" + plugin
	}
	d, err := DeviceOptions{}.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// The time of programs adds up, and an XLA plugin names itself.
func TestDeviceTellsOfItself(t *testing.T) {
	d := testDevice(t)
	cfg := tiny()
	initial, err := InitialEncoder(cfg, 1)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewProbe(d, cfg, ProbeConfig{Classes: 3, Batch: 2, LR: 1}, initial, 1)
	if err != nil {
		t.Fatal(err)
	}
	before, begin := d.Busy(), time.Now()
	if _, err := p.Features(make([]byte, cfg.Image*cfg.Image*3)); err != nil {
		t.Fatal(err)
	}
	if ran := d.Busy() - before; ran <= 0 || ran > time.Since(begin) {
		t.Errorf("busy for %v of %v", ran, time.Since(begin))
	}
	if plugin := d.Plugin(); strings.HasPrefix(plugin, "PJRT ") != strings.HasPrefix(d.name, "xla:") {
		t.Errorf("%s: plugin %q", d.name, plugin)
	}
	t.Logf("%s; %s", d.Description(), d.Plugin())
}

func TestOpenRejectsOtherDevices(t *testing.T) {
	for name, want := range map[string]string{
		"go":               "can hang",
		"go:parallelism=2": "at least 64",
		"go:parallelism=x": "at least 64",
		"go:":              "can hang",
		"nonsense":         "nonsense",
		"nonsense:way":     "nonsense",
	} {
		d, err := DeviceOptions{}.Open(name)
		if err == nil {
			d.Close()
			t.Errorf("%q was opened", name)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want a word of %q", name, err, want)
		}
	}
}
