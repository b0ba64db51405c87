package settings

import (
	"strings"
	"testing"

	"github.com/cijepa/cijepa/model/mask"
)

// TestFaultsOfTheModelNameASetting that the user can change, also where the model's field is a
// constant of the method.
func TestFaultsOfTheModelNameASetting(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"patch that does not divide", func(c *Config) { c.Patch = 15 }, "CIJEPA_PATCH=15: must divide CIJEPA_IMAGE=224"},
		{"grid of one cell", func(c *Config) { c.Patch = 224 }, "CIJEPA_PATCH=224: the grid of 1x1 must lie in 2..64"},
		{"grid with too many cells", func(c *Config) { c.Patch = 2 }, "CIJEPA_PATCH=2: the grid of 112x112 must lie in 2..64"},
		{"grid too small for a target", func(c *Config) { c.Patch = 112 }, "CIJEPA_TARGET_SCALE=0.15,0.2: must give a target block a cell"},
		{"grid too small for a context", func(c *Config) { c.Image, c.Patch = 80, 16 }, "CIJEPA_PATCH=16: must leave a context on the grid of 5x5"},
		{"targets everywhere", func(c *Config) { c.TargetScale, c.TargetAspect = Range{0.9, 0.95}, Range{1, 1} }, "CIJEPA_TARGET_SCALE=0.9,0.95: must leave a context"},
		{"contexts too small", func(c *Config) { c.ContextScale = Range{0.03, 1} }, "CIJEPA_CONTEXT_SCALE=0.03,1: must give every context"},
		{"trim", func(c *Config) { c.Trim = "none" }, "CIJEPA_TRIM=none: must be fixed or official"},
		{"heads", func(c *Config) { c.PredictorHeads = 5 }, "CIJEPA_PREDICTOR_HEADS=5: must divide CIJEPA_PREDICTOR_WIDTH=384"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Defaults()
			cfg.Bucket, cfg.Run = "mem://", "r"
			c.change(&cfg)
			faults := &Error{}
			cfg.validate(faults)
			if len(faults.Faults) != 1 || !strings.HasPrefix(faults.Faults[0].String(), c.want) {
				t.Errorf("got %v, want %q", faults, c.want)
			}
		})
	}
}

// TestFaultsOfAnUnknownFieldNameNoVariable: a variable that does not exist must not be suggested.
func TestFaultsOfAnUnknownFieldNameNoVariable(t *testing.T) {
	faults := &Error{}
	faults.addModel(Defaults(), &mask.FieldError{Field: "Masks.Nonsense", Value: 7, Want: "must be something else"})
	if got := faults.Faults[0]; got.Variable != Prefix || !strings.Contains(got.Want, "Nonsense") {
		t.Errorf("got %v", got)
	}
}
