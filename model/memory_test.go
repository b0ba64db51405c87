//go:build cgo

package model

import (
	"math"
	"os"
	"testing"
)

// plannedConfigs are networks that XLA's CPU plugin compiles in a minute.
func plannedConfigs() map[string]Config {
	half, most := 0.5, 0.8
	small := Config{
		Image: 96, Patch: 8, Width: 192, Depth: 6, Heads: 3, MLPRatio: 4,
		PredictorWidth: 96, PredictorDepth: 4, PredictorHeads: 3, RopeTheta: 10000,
		Depths: []int{1, 2, 3, 4, 5}, AllToLastWeight: &half, LastToLastWeight: &most, IntermediateRows: 2, TargetNorm: true,
		Masks: DefaultMasks(), Batch: 32, Precision: Float32, WeightDecay: 0.05,
	}
	remat, micro, one := small, small, small
	remat.Remat = true
	micro.MicroBatch = 8
	one.Depths, one.IntermediateRows = []int{5}, 0
	return map[string]Config{"small": small, "small, remat": remat, "small, micro-batches": micro, "small, one row": one}
}

// The memory that a compiler plans for a step is what the sizes say. XLA's CPU plugin, which CIJEPA_XLA_PLUGIN names, keeps attention's
// scores and fuses otherwise than a GPU.
func TestNeedIsWhatXLAPlans(t *testing.T) {
	path := os.Getenv("CIJEPA_XLA_PLUGIN")
	if path == "" {
		t.Skip("CIJEPA_XLA_PLUGIN names no plugin")
	}
	for name, c := range plannedConfigs() {
		d := openPlugin(t, path, DeviceOptions{})
		p, err := newPrograms(newNetwork(c, d), d)
		if err != nil {
			t.Fatal(err)
		}
		s := MaskShape{Target: 24, Context: 36}
		if err := p.compile(programShape{context: s.Context, target: s.Target, blocks: c.Masks.TargetBlocks}); err != nil {
			t.Fatal(err)
		}
		need := c.Need(s, false)
		most := 0.0
		for _, program := range d.Compiled() {
			most = max(most, float64(program.Memory.Temporary))
		}
		planned := float64(need.Gradients + need.Activations)
		t.Logf("%s: %.0f MB planned, %.0f MB by the sizes", name, most/1e6, planned/1e6)
		if math.Abs(most/planned-1) > 0.12 {
			t.Errorf("%s: %.0f MB planned, %.0f MB by the sizes", name, most/1e6, planned/1e6)
		}
		p.free()
		d.Close()
	}
}
