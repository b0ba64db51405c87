package model

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/model/mask"
)

func TestConfigNamesTheField(t *testing.T) {
	if err := tiny().Validate(); err != nil {
		t.Fatalf("the sizes of the tests: %v", err)
	}
	weight := func(w float64) *float64 { return &w }
	d := testDevice(t)
	for _, c := range []struct {
		field string
		spoil func(*Config)
	}{
		{"Image", func(c *Config) { c.Image = 0 }},
		{"Image", func(c *Config) { c.Image = 1 << 40 }},
		{"Patch", func(c *Config) { c.Patch = 0 }},
		{"Patch", func(c *Config) { c.Patch = 5 }},
		{"Width", func(c *Config) { c.Width = -16 }},
		{"Width", func(c *Config) { c.Width = 1 << 40 }},
		{"Heads", func(c *Config) { c.Heads = 0 }},
		{"Heads", func(c *Config) { c.Heads = 3 }},
		{"Heads", func(c *Config) { c.Heads = 8 }}, // heads of 2
		{"Depth", func(c *Config) { c.Depth = 0 }},
		{"MLPRatio", func(c *Config) { c.MLPRatio = 0 }},
		{"PredictorWidth", func(c *Config) { c.PredictorWidth = 0 }},
		{"PredictorDepth", func(c *Config) { c.PredictorDepth = 0 }},
		{"PredictorHeads", func(c *Config) { c.PredictorHeads = 5 }},
		{"RopeTheta", func(c *Config) { c.RopeTheta = 0 }},
		{"RopeTheta", func(c *Config) { c.RopeTheta = math.NaN() }},
		{"Depths", func(c *Config) { c.Depths = nil }},
		{"Depths", func(c *Config) { c.Depths = []int{-1, 3} }},
		{"Depths", func(c *Config) { c.Depths = []int{1, 4} }},
		{"Depths", func(c *Config) { c.Depths = []int{2, 1, 3} }},
		{"Depths", func(c *Config) { c.Depths = []int{1, 1, 3} }},
		{"IntermediateRows", func(c *Config) { c.IntermediateRows = -1 }},
		{"IntermediateRows", func(c *Config) { c.IntermediateRows = 4 }},
		{"AllToLastWeight", func(c *Config) { c.AllToLastWeight = weight(1.5) }},
		{"AllToLastWeight", func(c *Config) { c.AllToLastWeight = weight(math.NaN()) }},
		{"LastToLastWeight", func(c *Config) { c.LastToLastWeight = weight(-0.1) }},
		{"Masks.TargetBlocks", func(c *Config) { c.Masks.TargetBlocks = 0 }},
		{"Masks.Trim", func(c *Config) { c.Masks.Trim = "short" }},
		{"Batch", func(c *Config) { c.Batch = 0 }},
		{"MicroBatch", func(c *Config) { c.MicroBatch = 3 }},
		{"MicroBatch", func(c *Config) { c.MicroBatch = -2 }},
		{"Precision", func(c *Config) { c.Precision = "" }},
		{"WeightDecay", func(c *Config) { c.WeightDecay = -1 }},
		{"WeightDecay", func(c *Config) { c.WeightDecay = math.Inf(1) }},
	} {
		cfg := tiny()
		c.spoil(&cfg)
		for name, err := range map[string]error{"Validate": cfg.Validate(), "NewLearner": learnerError(d, cfg)} {
			var fault *mask.FieldError
			if !errors.As(err, &fault) || fault.Field != c.field || !strings.HasPrefix(fault.Want, "must ") {
				t.Errorf("%s of a bad %s: %v", name, c.field, err)
			}
		}
		if _, err := InitialEncoder(cfg, 1); err == nil {
			t.Errorf("an encoder was made with a bad %s", c.field)
		}
	}
}

func learnerError(d *Device, cfg Config) error {
	_, err := NewLearner(d, cfg, 1)
	return err
}

func TestConfigReportsAllFaults(t *testing.T) {
	c := tiny()
	c.Heads, c.Batch, c.Precision = 5, 0, "float8"
	err := c.Validate()
	for _, want := range []string{"Heads = 5: must divide the width 16", "Batch = 0: ", "Precision = float8: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: no %q in it", err, want)
		}
	}
	if err := (Config{}).Validate(); err == nil {
		t.Error("the zero Config was taken")
	}
}
