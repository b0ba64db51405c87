package input

import (
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/input/pixels"
)

// TestConfigDefaults are what the comments of Config say.
func TestConfigDefaults(t *testing.T) {
	c, err := Config{Size: 224, Batch: 512, Crop: pixels.PretrainCrop()}.checked()
	if err != nil {
		t.Fatal(err)
	}
	if c.Window != 16 || c.workers != runtime.GOMAXPROCS(0) || c.BadLimit != 0 || c.Log == nil {
		t.Errorf("defaults: %+v", c)
	}
}

// TestConfigFaultsComeInOneMessage, by the names of their fields.
func TestConfigFaultsComeInOneMessage(t *testing.T) {
	sound := Config{Size: 8, Batch: 4, Crop: pixels.ProbeCrop()}
	for field, change := range map[string]func(*Config){
		"Size":         func(c *Config) { c.Size = 0 },
		"Batch":        func(c *Config) { c.Batch = -1 },
		"Window":       func(c *Config) { c.Window = -1 },
		"BadLimit":     func(c *Config) { c.BadLimit = math.NaN() },
		"Crop.Filter":  func(c *Config) { c.Crop.Filter = 7 },
		"Crop.Scale":   func(c *Config) { c.Crop.Scale = [2]float64{0.5, 1.5} },
		"Crop.Ratio":   func(c *Config) { c.Crop.Ratio = [2]float64{2, 1} },
		"Crop.Shorter": func(c *Config) { c.Crop = pixels.EvaluationCrop(4) },
	} {
		c := sound
		change(&c)
		if _, err := NewLoader(newFakeSource(t, 4), c); err == nil || !strings.Contains(err.Error(), field+" = ") {
			t.Errorf("%s: error %v", field, err)
		}
	}
	c := sound
	c.Size, c.Batch = 0, 0
	_, err := c.checked()
	if err == nil || !strings.Contains(err.Error(), "Size") || !strings.Contains(err.Error(), "Batch") {
		t.Errorf("two faults: %v", err)
	}
}
