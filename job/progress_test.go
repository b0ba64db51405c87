package job

import (
	"math"
	"testing"

	"github.com/cijepa/cijepa/job/settings"
)

// TestMFUIsTheShareOfThePeak: of the default network on a card whose peak is known; of others it is
// not known.
func TestMFUIsTheShareOfThePeak(t *testing.T) {
	flops, err := settings.Defaults().Model().MeanFLOPs()
	if err != nil || math.Abs(flops/1e9-100) > 40 { // GFLOP an image and step, as METHOD.md counts
		t.Fatalf("%g FLOP an image, %v", flops, err)
	}
	j := &Job{accounts: accounts{flops: flops, peak: 989e12}}
	if got := j.mfu(1500); got == nil || math.Abs(*got-1500*flops/989e12) > 1e-12 || *got <= 0 || *got >= 1 {
		t.Errorf("1,500 images a second of an H100 are a share of %v", got)
	}
	if got := new(Job).mfu(1500); got != nil {
		t.Errorf("without a peak the share is %g", *got)
	}
}
