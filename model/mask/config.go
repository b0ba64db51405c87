package mask

import (
	"errors"
	"fmt"
)

// FieldError is a field or an argument that cannot work.
type FieldError struct {
	Field string // its name in Config, with a dot for a field of a field
	Value any
	Want  string // what would work: "must ..."
}

// Error names the field, its value and what would work.
func (e *FieldError) Error() string { return fmt.Sprintf("%s = %v: %s", e.Field, e.Value, e.Want) }

// Config says how context and target blocks are drawn: I-JEPA's multi-block masking (paper A.1;
// official code, src/masks/multiblock.py; model/reference/METHOD.md, section 3). Scales are shares
// of the grid's cells, aspects are height over width, both [low, high].
type Config struct {
	ContextScale [2]float64 // of the context rectangle, whose aspect is 1
	TargetScale  [2]float64 // of each target block
	TargetAspect [2]float64
	TargetBlocks int    // target blocks of an image; they may overlap each other, never the context
	MinContext   int    // cells that a context must keep after the targets are cut out of it
	Trim         string // TrimFixed or TrimOfficial
}

// How the contexts of a step get one length. Both ways keep the first cells in raster order.
const (
	// TrimFixed gives every target length a context length of its own, which nearly all images
	// reach. The blocks of the others are drawn again. So the shapes of a run are few, and known
	// ahead.
	TrimFixed = "fixed"
	// TrimOfficial cuts to the shortest context of a group of 128 images, which is the official
	// code's batch of one device.
	TrimOfficial = "official"
)

// Default are the settings of every published I-JEPA run, with fixed trimming.
func Default() Config {
	return Config{
		ContextScale: [2]float64{0.85, 1},
		TargetScale:  [2]float64{0.15, 0.2},
		TargetAspect: [2]float64{0.75, 1.5},
		TargetBlocks: 4,
		MinContext:   11,
		Trim:         TrimFixed,
	}
}

// Validate checks every setting that does not depend on how the blocks fall. Each fault is a
// *FieldError.
func (c Config) Validate(grid int) error {
	var faults []error
	check := func(ok bool, field string, value any, format string, args ...any) {
		if !ok {
			faults = append(faults, &FieldError{"Masks." + field, value, fmt.Sprintf(format, args...)})
		}
	}
	ordered := func(field string, bounds [2]float64, most float64) {
		check(0 < bounds[0] && bounds[0] <= bounds[1] && bounds[1] <= most, field, bounds,
			"must be [low, high] with 0 < low <= high <= %g", most)
	}
	check(2 <= grid && grid <= maxGrid, "Grid", grid, "must lie in 2..%d: image over patch", maxGrid)
	ordered("ContextScale", c.ContextScale, 1)
	ordered("TargetScale", c.TargetScale, 1)
	ordered("TargetAspect", c.TargetAspect, 100)
	check(1 <= c.TargetBlocks && c.TargetBlocks <= maxTargets, "TargetBlocks", c.TargetBlocks,
		"must lie in 1..%d", maxTargets)
	check(c.MinContext >= 1, "MinContext", c.MinContext, "must be at least 1")
	check(c.Trim == TrimFixed || c.Trim == TrimOfficial, "Trim", c.Trim, "must be %s or %s", TrimFixed, TrimOfficial)
	return errors.Join(faults...)
}
