package model

import (
	"github.com/cijepa/cijepa/model/mask"
)

// FLOPs counts the floating-point operations of one image in a step of a mask shape: those of the matrix products and of
// attention, a multiplication and an addition being two. The teacher goes forward; what is trained goes forward and, at
// twice the cost, back. The first block of a predictor makes queries, keys and values of an image's context tokens and of the mask
// token once for all target blocks; the last one computes nothing behind its attention for the context tokens, which no head reads. What a device computes again, inside attention or with Remat, does not count: it is no use to the step.
func (c Config) FLOPs(s mask.Shape) float64 {
	kernel := 2 * float64(3*c.Patch*c.Patch*c.Width)
	teacher := c.EncoderFLOPs()
	student := 2*float64(s.Context)*kernel + 3*c.through(c.deepest()+1, c.Width, s.Context) // no gradient goes to the images
	places, p := c.Masks.TargetBlocks*s.Target, float64(c.PredictorWidth)
	predictor := 2*float64(s.Context*c.Width)*p +
		float64(c.Masks.TargetBlocks)*(c.through(c.PredictorDepth, c.PredictorWidth, s.Context+s.Target)-
			float64(s.Context)*float64(2+4*c.MLPRatio)*p*p) -
		float64(c.Masks.TargetBlocks*(s.Context+s.Target)-(s.Context+1))*6*p*p +
		2*float64(places)*p*float64(c.Width*len(c.Depths))
	return teacher + student + 3*float64(c.Slots())*predictor
}

// EncoderFLOPs counts those of one whole image through the encoder, forward, up to the deepest collected depth.
func (c Config) EncoderFLOPs() float64 {
	return 2*float64(c.tokens()*3*c.Patch*c.Patch*c.Width) + c.through(c.deepest()+1, c.Width, c.tokens())
}

// through counts those of a sequence of tokens through transformer blocks.
func (c Config) through(blocks, width, tokens int) float64 {
	w, t := float64(width), float64(tokens)
	return float64(blocks) * (t*float64(8+4*c.MLPRatio)*w*w + 4*t*t*w)
}
