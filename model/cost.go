package model

import (
	"github.com/cijepa/cijepa/model/mask"
)

// Need is what steps of a mask shape take of a device's memory, in bytes. State, Copy, Sums, Images and Results are exact;
// Gradients and Activations are what the arrays of a step come to by a rule, see Config.Need.
type Need struct {
	State       int64 // student and predictors with two moments each, and the teacher
	Copy        int64 // of the state, while a checkpoint takes it to the host
	Sums        int64 // of gradients over micro-batches
	Images      int64 // of batchesAtOnce
	Results     int64 // the state that a step returns lies beside the one that it was given
	Gradients   int64
	Activations int64 // beyond the place of Results
}

// batchesAtOnce lie on the device: that of the step, the next one, and what is copied meanwhile.
const batchesAtOnce = 3

// Total is the sum of them.
func (n Need) Total() int64 {
	return n.State + n.Copy + n.Sums + n.Images + n.Results + n.Gradients + n.Activations
}

// Temporary is the block that a step works in.
func (n Need) Temporary() int64 { return n.Gradients + n.Activations }

// Roomy is Total with room for that block once more: it is given back after every step, the next step may need a larger one, and
// images that were copied meanwhile may lie in its place. Steps that find no room end a run in the middle of the night.
func (n Need) Roomy() int64 { return n.Total() + n.Temporary() }

// Need counts what steps take. fused says that attention is one operation of the device, which keeps no scores.
//
// Activations are what the forward pass of one micro-batch leaves for the backward pass, beyond the place of the results, which is
// free until the update. A compiler stores what goes into matrix products and comes out of them and computes the rest where it is
// used. So of a token in a block stay the residual stream, in float32 and twice; both norms, queries, keys, values, the result of
// attention, and the hidden layer of the MLP before and behind its activation, in the narrow type. The last block of a predictor has
// its second half for the masked places alone. With Remat only the residual stream stays, once, and the rest of one block at a
// time. Of the teacher one block at a time is there, before the student has begun. The targets are float32, and of the predictions
// those of one slot are there, with their gradients, in the narrow type.
//
// The rule was made after XLA's plans of ViT-B/16 for an H100 by the CUDA plugin 0.11.2, compiled on 2026-11-25 without a card, and
// is within 4 % of them: see TestNeedIsWhatXLAPlans. On a card products are tuned and may take other work space.
func (c Config) Need(s mask.Shape, fused bool) Need {
	encoder, predictor := bytesOf(c.encoderArrays()), bytesOf(c.predictorArrays())
	slots := int64(c.Slots())
	n := Need{
		State:     c.StateBytes(),
		Copy:      c.StateBytes(),
		Images:    batchesAtOnce * int64(c.Batch) * int64(c.Image*c.Image*3),
		Results:   4*encoder + 3*slots*predictor,
		Gradients: encoder + slots*predictor,
	}
	if c.passes() > 1 {
		n.Sums = n.Gradients
	}
	sequences, tokens := c.Masks.TargetBlocks, s.Context+s.Target
	features := sequences * s.Target * len(c.Depths) * c.Width
	teacher := c.keptInBlock(c.Width, c.Heads, c.tokens(), c.tokens(), fused)
	student := c.keptInBlock(c.Width, c.Heads, s.Context, s.Context, fused)
	inner := sequences * c.keptInBlock(c.PredictorWidth, c.PredictorHeads, tokens, tokens, fused)
	last := sequences * c.keptInBlock(c.PredictorWidth, c.PredictorHeads, tokens, s.Target, fused)
	trained := (c.deepest()+1)*student + c.Slots()*((c.PredictorDepth-1)*inner+last)
	if c.Remat {
		streams := (c.deepest()+1)*s.Context*c.Width + c.Slots()*c.PredictorDepth*sequences*tokens*c.PredictorWidth
		trained = 4*streams + max(student, inner)
	}
	image := 4*features + max(teacher, trained+2*c.matmulBytes()*features)
	n.Activations = max(0, int64(c.micro())*int64(image)-n.Results)
	return n
}

// StateBytes are those of the whole state, in float32.
func (c Config) StateBytes() int64 {
	return 4*bytesOf(c.encoderArrays()) + int64(len(c.Depths))*3*bytesOf(c.predictorArrays())
}

// keptInBlock is what a block keeps that returns so many of its tokens.
func (c Config) keptInBlock(width, heads, tokens, returned int, fused bool) int {
	narrow, scores := c.matmulBytes(), 0
	if !fused {
		scores = heads * returned * tokens * (4 + narrow)
	}
	return (tokens*(4+4*narrow)+returned*(4+(2+2*c.MLPRatio)*narrow))*width + scores
}

// matmulBytes is the size of an operand of matrix products.
func (c Config) matmulBytes() int {
	if c.Precision == BFloat16 {
		return 2
	}
	return 4
}

func bytesOf(arrays []array) (n int64) {
	for _, a := range arrays {
		n += 4 * int64(a.size())
	}
	return n
}

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
