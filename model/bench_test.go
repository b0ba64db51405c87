package model

import (
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/cijepa/cijepa/model/mask"
)

// BenchmarkStep times one training step of a tiny preset at batch 64 with given masks, as
// model/reference/peer.py does: 32 px, patch 4, width 64, 6 blocks, predictors 32 x 2, contexts of
// 16 tokens, 4 targets of 10. It runs on the pure Go backend with both cores, or on the device that
// CIJEPA_BENCH_DEVICE names. GOEXPERIMENT=simd at build time makes the Go backend about twice as
// fast.
func BenchmarkStep(b *testing.B) {
	device := os.Getenv("CIJEPA_BENCH_DEVICE")
	if device == "" {
		device = "go:parallelism=64"
	}
	half, most := 0.5, 0.8
	c := Config{
		Image: 32, Patch: 4, Width: 64, Depth: 6, Heads: 4, MLPRatio: 4,
		PredictorWidth: 32, PredictorDepth: 2, PredictorHeads: 2, RopeTheta: 10000,
		Depths: []int{1, 2, 3, 4, 5}, AllToLastWeight: &half, LastToLastWeight: &most, IntermediateRows: 2, TargetNorm: true,
		Masks: mask.Default(), Batch: 64, Precision: Float32, WeightDecay: 0.05,
	}
	benchmarkStep(b, device, c, mask.Shape{Target: 10, Context: 16})
}

// BenchmarkDemoStep times a step of the size at which a demonstration on a laptop learns something:
// 28 px, patch 4, 4 blocks of width 64, predictors 32 x 1.
func BenchmarkDemoStep(b *testing.B) {
	half, most := 0.5, 0.8
	c := Config{
		Image: 28, Patch: 4, Width: 64, Depth: 4, Heads: 4, MLPRatio: 4,
		PredictorWidth: 32, PredictorDepth: 1, PredictorHeads: 2, RopeTheta: 10000,
		Depths: []int{0, 1, 2, 3}, AllToLastWeight: &half, LastToLastWeight: &most, IntermediateRows: 2, TargetNorm: true,
		Masks: mask.Default(), Batch: 64, Precision: Float32, WeightDecay: 0.05,
	}
	benchmarkStep(b, "go:parallelism=64", c, mask.Shape{Target: 9, Context: 16})
}

func benchmarkStep(b *testing.B, device string, c Config, s mask.Shape) {
	d, err := DeviceOptions{}.Open(device)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	l, err := NewLearner(d, c, 1)
	if err != nil {
		b.Fatal(err)
	}
	step := func(at int64) {
		in := stepInput(b, l, 0)
		in.Masks = scattered(c, s, at)
		take(b, l, in)
	}
	step(0)
	runtime.GC()
	before := cpuTime(b)
	for at := int64(1); b.Loop(); at++ {
		step(at)
	}
	b.ReportMetric(float64(b.N*c.Batch)/b.Elapsed().Seconds(), "images/s")
	// On a machine with other work, what the step costs is steadier than how long it takes.
	b.ReportMetric(float64((cpuTime(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
}

// cpuTime is what this process has used of all cores.
func cpuTime(b testing.TB) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
