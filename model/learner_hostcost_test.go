//go:build cgo

package model

import (
	"slices"
	"testing"
	"time"

	"github.com/cijepa/cijepa/model/mask"
)

// The device waits while the host prepares a step and unpacks its results. On a device that
// computes nothing, a whole step of ViT-B/16 takes less than a millisecond, or with micro-batches
// each program of it. The fastest of many counts, because other processes slow the others down.
func TestHostCostOfAStep(t *testing.T) {
	if testing.Short() {
		t.Skip("not with -short: two programs of three megabytes")
	}
	path, _ := buildPlugin(t)
	d := openPlugin(t, path, DeviceOptions{})
	for _, micro := range []int{0, 32} {
		c := vitB()
		c.Batch, c.MicroBatch = 128, micro
		l, err := zeroLearner(d, c) // on a device that computes nothing one state is as good as another
		if err != nil {
			t.Fatal(err)
		}
		calls := 1
		if l.passes() > 1 {
			calls = l.passes() + 1
		}
		images := make([]byte, c.Batch*c.Image*c.Image*3)
		masks := scattered(c, mask.Shape{Target: 35, Context: 48}, 0)
		var laps []time.Duration
		for step := range int64(150) {
			uploaded, err := l.Upload(images)
			if err != nil {
				t.Fatal(err)
			}
			in := StepInput{Images: uploaded, Masks: masks, Sources: SampleDepths(c.Depths, c.IntermediateRows, 0, step), LR: 1e-4, EMAMomentum: 0.996}
			begun := time.Now()
			if _, err := l.Step(in); err != nil {
				t.Fatal(err)
			}
			if step > 0 { // the first one compiles
				laps = append(laps, time.Since(begun))
			}
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		slices.Sort(laps)
		t.Logf("%d calls a step: %v at best, %v in the middle", calls, laps[0], laps[len(laps)/2])
		if most := time.Duration(calls) * time.Millisecond; laps[0] > most {
			t.Errorf("%d calls a step take the host %v at best, want at most %v", calls, laps[0], most)
		}
	}
}
