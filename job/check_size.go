package job

import (
	"math"
	"strings"

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
	fused := strings.HasPrefix(c.cfg.Backend, "xla") && strings.Contains(c.cfg.Backend, "cuda") && c.cfg.Precision == model.BFloat16
	return sizes{c.cfg.Model(), shape.Context, shape.Target, fused}
}

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

// block counts the weights of a transformer block.
func (s sizes) block(width int) int {
	norms, attention, mlp := 4*width, 4*width*(width+1), 2*s.MLPRatio*width*width+s.MLPRatio*width+width
	return norms + attention + mlp
}

// encoder counts the weights of the student, or of the teacher.
func (s sizes) encoder() int {
	return s.Width*(3*s.Patch*s.Patch+1) + s.Config.Depth*s.block(s.Width)
}

// predictor counts the weights of one pathway, its heads included.
func (s sizes) predictor() int {
	p := s.PredictorWidth
	return p*(s.Width+1) + p + s.PredictorDepth*s.block(p) + 2*p + len(s.Depths)*s.Width*(p+1)
}

// trained counts the weights that a gradient reaches: not those of blocks after the deepest collected depth.
func (s sizes) trained() int {
	return s.encoder() - (s.Config.Depth-s.blocks())*s.block(s.Width) + len(s.Depths)*s.predictor()
}

// blocks of the encoder that a step runs.
func (s sizes) blocks() int { return s.Depths[len(s.Depths)-1] + 1 }

// stateBytes are those of the whole state in float32: student and predictors with two moments each, and the teacher.
func (s sizes) stateBytes() int64 {
	return 4 * (3*int64(s.encoder()+len(s.Depths)*s.predictor()) + int64(s.encoder()))
}

// pass is the number of images of one pass.
func (s sizes) pass() int {
	if s.MicroBatch == 0 {
		return s.Batch
	}
	return s.MicroBatch
}

// gradientBytes are those of the gradients of a step, and of their sums over micro-batches.
func (s sizes) gradientBytes() int64 {
	bytes := 4 * int64(s.encoder()+s.Slots()*s.predictor())
	if s.pass() < s.Batch {
		bytes *= 2
	}
	return bytes
}

// activationFormula says how activationBytes estimates. a is the size of a product's operand, 2 or 4 bytes.
const activationFormula = "B ((blocks C + N) k(D) + R blocks M (C+K) k(P) + (1+2R) 4 M K L D), k(W) = (8+6a+2a ratio) W, more without fused attention, less with REMAT"

// activationBytes estimates what one pass keeps for its backward pass, by the formula above: of a block's token the two
// residual sums in float32, both norms, queries, keys, values, the attention's result and the MLP's hidden layer before and
// after its activation; of the teacher one block at a time; the targets and, for each slot, predictions and their
// gradients. What a compiler fuses or recomputes it does not know.
func (s sizes) activationBytes() int64 {
	operand := 4
	if s.Precision == model.BFloat16 {
		operand = 2
	}
	kept := func(width, heads, tokens int) int { // by all tokens of a sequence, in one block
		scores := 0
		if !s.fused {
			scores = heads * tokens * (4 + operand)
		}
		return tokens * ((8+6*operand+2*operand*s.MLPRatio)*width + scores)
	}
	stack := func(blocks, width, heads, tokens int) int {
		if s.Remat {
			return blocks*tokens*4*width + kept(width, heads, tokens)
		}
		return blocks * kept(width, heads, tokens)
	}
	tokens, places := s.Grid()*s.Grid(), s.Masks.TargetBlocks*s.target
	student := stack(s.blocks(), s.Width, s.Heads, s.context)
	teacher := kept(s.Width, s.Heads, tokens)
	predictors := s.Slots() * s.Masks.TargetBlocks * stack(s.PredictorDepth, s.PredictorWidth, s.PredictorHeads, s.context+s.target)
	features := (1 + 2*s.Slots()) * 4 * places * len(s.Depths) * s.Width
	return int64(s.pass()) * int64(student+teacher+predictors+features)
}

// operations of one image in a step.
func (s sizes) operations() float64 {
	return s.Operations(model.MaskShape{Context: s.context, Target: s.target})
}
