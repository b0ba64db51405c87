package mask

import (
	"math"
	"testing"
)

// The table gives the same sizes as the formula, on every grid.
func TestSizeTableIsTheFormula(t *testing.T) {
	cfg := Default()
	for grid := 2; grid <= 64; grid++ {
		for name, bounds := range map[string][2][2]float64{
			"target":  {cfg.TargetScale, cfg.TargetAspect},
			"context": {cfg.ContextScale, {1, 1}},
			"fixed":   {{0.5, 0.5}, {1, 1}},
		} {
			table := newSizeTable(grid, bounds[0], bounds[1])
			if table[0].from != 0 || table[len(table)-1].to != 1 {
				t.Fatalf("grid %d, %s: %v", grid, name, table)
			}
			for i := range 1000 {
				u := (float64(i) + math.Pi/10) / 1000 // borders are rational, so never hit
				if got, want := table.at(u), blockSize(grid, bounds[0], bounds[1], u); got != want {
					t.Errorf("grid %d, %s: %v at %v, want %v", grid, name, got, u, want)
				}
			}
		}
	}
}
