package mask

import (
	"errors"
	"math"
	"testing"
)

func TestNewNamesTheField(t *testing.T) {
	for _, c := range []struct {
		name   string
		field  string
		grid   int
		change func(*Config)
	}{
		{"no room", "MinContext", 5, nil},
		{"no room for a cell", "TargetScale", 2, nil},
		{"no grid", "Grid", 1, nil},
		{"huge grid", "Grid", 65, nil},
		{"scale reversed", "TargetScale", 14, func(c *Config) { c.TargetScale = [2]float64{0.2, 0.15} }},
		{"scale above 1", "ContextScale", 14, func(c *Config) { c.ContextScale = [2]float64{0.85, 1.1} }},
		{"scale not a number", "ContextScale", 14, func(c *Config) { c.ContextScale[0] = math.NaN() }},
		{"no aspect", "TargetAspect", 14, func(c *Config) { c.TargetAspect = [2]float64{} }},
		{"no blocks", "TargetBlocks", 14, func(c *Config) { c.TargetBlocks = 0 }},
		{"no context wanted", "MinContext", 14, func(c *Config) { c.MinContext = 0 }},
		{"too much context wanted", "MinContext", 14, func(c *Config) { c.MinContext = 170 }},
		{"targets everywhere", "MinContext", 14, func(c *Config) { c.TargetScale = [2]float64{0.9, 0.95}; c.TargetAspect = [2]float64{1, 1} }},
		{"contexts too small at times", "ContextScale", 14, func(c *Config) { c.ContextScale = [2]float64{0.03, 1} }},
		{"unknown trimming", "Trim", 14, func(c *Config) { c.Trim = "" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Default()
			if c.change != nil {
				c.change(&cfg)
			}
			_, err := New(c.grid, cfg)
			var field *FieldError
			if !errors.As(err, &field) || field.Field != "Masks."+c.field {
				t.Errorf("error %v, want one of field %s", err, c.field)
			}
		})
	}
}
