package check

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// TestCheckGivesUpOnSlowSteps: where no step ends in time nothing is predicted.
func TestCheckGivesUpOnSlowSteps(t *testing.T) {
	cfg, _ := smallRun(t)
	var out bytes.Buffer
	c := &check{cfg: cfg, out: &out, log: storagetest.Log(t), budget: time.Nanosecond, smi: machine.NvidiaSMI, host: machine.HostMemory}
	if err := c.run(t.Context()); err != nil || !strings.Contains(out.String(), "no step ended within 1ns") || strings.Contains(out.String(), "pretraining ") {
		t.Errorf("returned %v\n%s", err, &out)
	}
}

// TestDefaultsHaveThePublishedFLOPs and state: the figures of model/reference/METHOD.md, section
// 11.
func TestDefaultsHaveThePublishedFLOPs(t *testing.T) {
	c := &check{cfg: settings.Defaults()}
	s, shape := c.cfg.Model(), c.meanShape()
	if got := s.StateBytes(); got != 4*(3*241_797_888+85_645_056) || math.Round(float64(got)/1e7) != 324 {
		t.Errorf("%d bytes of state", got)
	}
	// The 135 there are of the mean shape, with the first and the last block of each predictor
	// taken on all its tokens.
	first := 6 * (s.Masks.TargetBlocks*(shape.Context+shape.Target) - shape.Context - 1)
	last := s.Masks.TargetBlocks * shape.Context * (2 + 4*s.MLPRatio)
	left := 3 * float64(s.Slots()*(first+last)*s.PredictorWidth*s.PredictorWidth)
	if got := (c.flops() + left) / 1e9; math.Abs(got-135) > 3 {
		t.Errorf("%.1f GFLOP an image and step, not 135", got)
	}
}

// TestOneBlockIsScaledByFLOPs to the whole network, and a small batch to a larger one.
func TestOneBlockIsScaledByFLOPs(t *testing.T) {
	c := &check{cfg: settings.Defaults()}
	part := oneBlock(c.cfg.Model())
	if err := part.Validate(); err != nil {
		t.Fatal(err)
	}
	if share := c.share(part); share < 0.05 || share > 0.1 {
		t.Errorf("one block is %g of the operations", share)
	}
	if share := c.share(c.cfg.Model()); share != 1 {
		t.Errorf("the whole is %g of the operations", share)
	}
	if got := extrapolate(trial{images: 4, seconds: 3}, trial{images: 16, seconds: 9}, 64); got != 33 {
		t.Errorf("3 s for 4 images and 9 s for 16 make %g s for 64, not 33", got)
	}
}
