package model

import (
	"github.com/cijepa/cijepa/model/mask"
)

// What a step costs, by formula: memory first, then FLOPs.

// Need is the device memory, in bytes, that steps of a mask shape take. State, Copy, Sums, Images
// and Results are exact. Gradients and Activations are estimates of the compiler's work space, by
// the rule of Config.Need. Workspace is cuDNN's rule.
type Need struct {
	State       int64 // student and predictors with two moments each, and the teacher
	Copy        int64 // of the state, while a checkpoint takes it to the host
	Sums        int64 // accumulated gradients, with micro-batches
	Images      int64 // of batchesAtOnce
	Results     int64 // the state that a step returns, beside the one that it was given
	Gradients   int64
	Activations int64 // beyond what fits into the memory of Results
	Workspace   int64 // of cuDNN's deterministic attention backward; 0: not fused
}

// batchesAtOnce are on the device: that of the step, the next one, and one that is being uploaded.
const batchesAtOnce = 3

// Total is the sum of all fields.
func (n Need) Total() int64 {
	return n.State + n.Copy + n.Sums + n.Images + n.Results + n.Gradients + n.Activations + n.Workspace
}

// Need estimates the memory of steps. fused says that attention is one operation of the device,
// which stores no scores.
//
// Activations are what the forward pass of one micro-batch stores for the backward pass, beyond the
// memory of the results, which is free until the update. A compiler stores the operands and results
// of matrix products and computes the rest again where it is used. For each token in a block that
// is, in float32, the residual stream, twice; and in the type of matrix products both norms,
// queries, keys, values, the result of attention, and the hidden layer of the MLP before and after
// its activation. The last block of a predictor has its second half for the mask tokens only.
//
// With Remat the residual stream is stored once, and the rest for one block at a time. The teacher
// needs one block at a time, before the student begins. The targets are float32. The predictions of
// one slot are there at a time, with their gradients, in the type of matrix products.
//
// The rule was fitted to XLA's plans of ViT-B/16 for an H100 (CUDA plugin 0.11.2, compiled on
// 2026-11-25 without a card) and is within 5 % of them: see TestNeedIsWhatXLAPlans. Such a plan
// counts no Workspace, because only a card says what cuDNN takes.
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
	teacher := c.storedInBlock(c.Width, c.Heads, c.tokens(), c.tokens(), fused)
	student := c.storedInBlock(c.Width, c.Heads, s.Context, s.Context, fused)
	inner := sequences * c.storedInBlock(c.PredictorWidth, c.PredictorHeads, tokens, tokens, fused)
	last := sequences * c.storedInBlock(c.PredictorWidth, c.PredictorHeads, tokens, s.Target, fused)
	trained := (c.deepest()+1)*student + c.Slots()*((c.PredictorDepth-1)*inner+last)
	if c.Remat {
		streams := (c.deepest()+1)*s.Context*c.Width + c.Slots()*c.PredictorDepth*sequences*tokens*c.PredictorWidth
		trained = 4*streams + max(student, inner)
	}
	image := 4*features + max(teacher, trained+2*c.matmulBytes()*features)
	n.Activations = max(0, int64(c.micro())*int64(image)-n.Results)
	if fused {
		n.Workspace = int64(c.micro()) * int64(max(
			backwardWorkspace(c.Heads, s.Context), sequences*backwardWorkspace(c.PredictorHeads, tokens)))
	}
	return n
}

// backwardWorkspace is what one call of cuDNN's deterministic attention backward takes for a
// sequence, in bytes: on Hopper, the gradient of the scores in bf16, with both lengths rounded up
// to a multiple of 64. Source: use_dp_workspace in cudnn-frontend's
// scaled_dot_product_flash_attention.h.
func backwardWorkspace(heads, tokens int) int {
	padded := (tokens + 63) / 64 * 64
	return 2 * heads * padded * padded
}

// StateBytes is the size of the whole state, in float32.
func (c Config) StateBytes() int64 {
	return 4*bytesOf(c.encoderArrays()) + int64(len(c.Depths))*3*bytesOf(c.predictorArrays())
}

// storedInBlock is the activations, in bytes, of one sequence in a block that returns so many of
// its tokens.
func (c Config) storedInBlock(width, heads, tokens, returned int, fused bool) int {
	operand, scores := c.matmulBytes(), 0
	if !fused {
		scores = heads * returned * tokens * (4 + operand)
	}
	return (tokens*(4+4*operand)+returned*(4+(2+2*c.MLPRatio)*operand))*width + scores
}

// matmulBytes is the size of one element of a matrix product's operand.
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

// FLOPs counts the floating-point operations of one image in a step of a mask shape: those of
// matrix products and attention, with two for a multiplication and its addition. The teacher runs
// forward; what is trained runs forward and, at twice the cost, backward. What a device computes
// again, inside attention or with Remat, does not count.
//
// The first block of a predictor computes queries, keys and values of an image's context tokens and
// of the mask token once for all target blocks. The last one computes nothing after its attention
// for context tokens, which no head reads.
func (c Config) FLOPs(s mask.Shape) float64 {
	kernel := 2 * float64(3*c.Patch*c.Patch*c.Width)
	teacher := c.EncoderFLOPs()
	// The images get no gradient.
	student := 2*float64(s.Context)*kernel + 3*c.blockFLOPs(c.deepest()+1, c.Width, s.Context)
	targets, p := c.Masks.TargetBlocks*s.Target, float64(c.PredictorWidth)
	predictor := 2*float64(s.Context*c.Width)*p +
		float64(c.Masks.TargetBlocks)*(c.blockFLOPs(c.PredictorDepth, c.PredictorWidth, s.Context+s.Target)-
			float64(s.Context)*float64(2+4*c.MLPRatio)*p*p) -
		float64(c.Masks.TargetBlocks*(s.Context+s.Target)-(s.Context+1))*6*p*p +
		2*float64(targets)*p*float64(c.Width*len(c.Depths))
	return teacher + student + 3*float64(c.Slots())*predictor
}

// MeanFLOPs is FLOPs over the mask shapes by how often they are drawn.
func (c Config) MeanFLOPs() (float64, error) {
	masker, err := c.Masker()
	if err != nil {
		return 0, err
	}
	mean := 0.0
	for _, s := range masker.Shapes() {
		mean += s.Probability * c.FLOPs(s)
	}
	return mean, nil
}

// EncoderFLOPs counts those of one whole image through the encoder, forward, up to the deepest
// collected depth.
func (c Config) EncoderFLOPs() float64 {
	return 2*float64(c.tokens()*3*c.Patch*c.Patch*c.Width) + c.blockFLOPs(c.deepest()+1, c.Width, c.tokens())
}

// blockFLOPs counts those of one sequence of tokens through so many blocks.
func (c Config) blockFLOPs(blocks, width, tokens int) float64 {
	w, t := float64(width), float64(tokens)
	return float64(blocks) * (t*float64(8+4*c.MLPRatio)*w*w + 4*t*t*w)
}
