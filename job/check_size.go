package job

import (
	"math"

	"github.com/cijepa/cijepa/model"
)

// sizes counts what a network needs, from its sizes alone.
type sizes struct {
	model.Config
	context, target int  // tokens of a context and of a target block
	fused           bool // attention is one operation of the device, which keeps no scores
}

// sizes are those of the run, at the mask shape nearest to the mean.
func (c *check) sizes() sizes {
	shape := c.meanShape()
	return sizes{c.cfg.Model(), shape.Context, shape.Target, c.cfg.fused()}
}

// fused says whether attention is one operation of the device.
func (c Config) fused() bool { return c.Model().Fused(c.Backend) }

// meanShape is the mask shape whose targets are nearest to the mean in length.
func (c *check) meanShape() (nearest model.MaskShape) {
	masker, err := model.NewMasker(c.cfg.Model().Grid(), c.cfg.Model().Masks)
	if err != nil {
		return nearest // Load refuses such settings
	}
	mean := 0.0
	for _, s := range masker.Shapes() {
		mean += s.Probability * float64(s.Target)
	}
	for i, s := range masker.Shapes() {
		if i == 0 || math.Abs(float64(s.Target)-mean) < math.Abs(float64(nearest.Target)-mean) {
			nearest = s
		}
	}
	return nearest
}

// operations of one image in a step.
func (s sizes) operations() float64 {
	return s.Operations(model.MaskShape{Context: s.context, Target: s.target})
}
