//go:build cgo

package model

import (
	"os"
	"testing"

	"github.com/cijepa/cijepa/model/mask"
)

// TestCommandDumpStep is a command for .ci/gpu/compile, as a test because it takes what only tests
// have. It writes the program of a full-size step for a GPU: with micro-batches that of a pass, or
// with Update that of the update. CIJEPA_DUMP is JSON: the fields of Config that differ from vitB's
// at batch 128, the mask shape, and the file.
func TestCommandDumpStep(t *testing.T) {
	text := os.Getenv("CIJEPA_DUMP")
	if text == "" {
		t.Skip("only with CIJEPA_DUMP, which names a file")
	}
	dump := struct {
		Config
		Shape  mask.Shape
		Update bool
		File   string
	}{Config: vitB(), Shape: mask.Shape{Target: 35, Context: 48}}
	dump.Batch = 128
	decode(t, []byte(text), &dump)
	program := 0
	if dump.Update {
		program = 1
	}
	programs := gpuPrograms(t, dump.Config, []mask.Shape{dump.Shape})
	if err := os.WriteFile(dump.File, []byte(programs[program]), 0o644); err != nil {
		t.Fatal(err)
	}
	need := dump.Need(dump.Shape, !dump.PlainAttention)
	t.Logf("%.2f GB temporary by the sizes, %.2f GB in all", float64(need.Gradients+need.Activations)/1e9, float64(need.Total())/1e9)
}
