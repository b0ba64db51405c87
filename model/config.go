package model

import (
	"errors"
	"fmt"
	"math"

	"github.com/cijepa/cijepa/model/mask"
)

// Config holds the sizes of the network and the settings of its objective. The zero value is not
// valid.
type Config struct {
	Image int // side of the square images in pixels
	Patch int // side of a patch; a token is a patch
	Width int // D, width of the encoder
	Depth int // blocks of the encoder
	Heads int // attention heads of the encoder; a head's width is a multiple of 4: two axes, in pairs

	MLPRatio int // hidden width of an MLP over the width of its block, in encoder and predictors

	PredictorWidth int // P
	PredictorDepth int
	PredictorHeads int

	RopeTheta float64 // base of the rotary frequencies

	// Depths are the collected depths, ascending: depth i is the output of block i. Every one is a
	// target, and a source with a predictor of its own. Blocks after the last one, the deepest, are
	// not trained.
	Depths []int

	AllToLastWeight  *float64 // weight of the deepest target in every row; nil: not set
	LastToLastWeight *float64 // instead of it in the row of the deepest source; nil: not set

	IntermediateRows int  // source depths sampled in a step beside the deepest one
	TargetNorm       bool // LayerNorm without affine of every target, as in I-JEPA

	Masks mask.Config

	Batch      int // images of a step
	MicroBatch int // images of one pass through the network; 0 means Batch

	Precision string // BFloat16 or Float32
	Remat     bool   // activation checkpointing: the backward pass computes the blocks again

	PlainAttention bool // attention as products and softmax, even if the device has a fused one

	WeightDecay float64 // of AdamW, decoupled, on all but biases and norms
}

// The precisions of matrix products. The residual stream, norms, softmax, loss, parameters, moments
// and the teacher's average are float32 in both. With BFloat16 the gradient of the residual stream
// is rounded to bfloat16 behind each of its sums.
const (
	BFloat16 = "bfloat16"
	Float32  = "float32"
)

// Grid is the number of patches along a side of the image.
func (c Config) Grid() int { return c.Image / c.Patch }

// Slots is the number R of source depths of a step.
func (c Config) Slots() int { return 1 + c.IntermediateRows }

// Upper bounds: larger values are typing mistakes, and could overflow int.
const (
	maxImage = 1 << 14
	maxWidth = 1 << 16
	maxDepth = 1 << 10
	maxBatch = 1 << 20
)

// Validate checks every field and returns all faults joined, each a *mask.FieldError; nil if there
// is none.
func (c Config) Validate() error {
	var faults []error
	check := func(ok bool, field string, value any, format string, args ...any) bool {
		if !ok {
			faults = append(faults, fieldError(field, value, format, args...))
		}
		return ok
	}
	between := func(field string, value, low, high int) bool {
		return check(low <= value && value <= high, field, value, "must lie in %d..%d", low, high)
	}
	heads := func(field string, heads, width int) {
		_ = between(field, heads, 1, width) &&
			check(width%heads == 0, field, heads, "must divide the width %d", width) &&
			check(width/heads%4 == 0, field, heads, "must make heads whose width is a multiple of 4, not %d", width/heads)
	}
	share := func(field string, weight *float64) {
		if weight != nil {
			check(0 <= *weight && *weight <= 1, field, *weight, "must lie in [0, 1]")
		}
	}

	if between("Image", c.Image, 1, maxImage) && between("Patch", c.Patch, 1, c.Image) &&
		check(c.Image%c.Patch == 0, "Patch", c.Patch, "must divide Image %d", c.Image) {
		if err := c.Masks.Validate(c.Grid()); err != nil {
			faults = append(faults, err)
		}
	}
	if between("Width", c.Width, 4, maxWidth) {
		heads("Heads", c.Heads, c.Width)
	}
	if between("PredictorWidth", c.PredictorWidth, 4, maxWidth) {
		heads("PredictorHeads", c.PredictorHeads, c.PredictorWidth)
	}
	between("PredictorDepth", c.PredictorDepth, 1, maxDepth)
	between("MLPRatio", c.MLPRatio, 1, 64)
	check(c.RopeTheta >= 1 && !math.IsInf(c.RopeTheta, 1), "RopeTheta", c.RopeTheta, "must be a number from 1 up")

	if between("Depth", c.Depth, 1, maxDepth) &&
		check(len(c.Depths) > 0, "Depths", c.Depths, "must name at least one depth") {
		for i, d := range c.Depths {
			if !check(0 <= d && d < c.Depth, "Depths", c.Depths, "must lie in 0..%d", c.Depth-1) ||
				!check(i == 0 || c.Depths[i-1] < d, "Depths", c.Depths, "must ascend") {
				break
			}
		}
		check(0 <= c.IntermediateRows && c.IntermediateRows < len(c.Depths), "IntermediateRows",
			c.IntermediateRows, "must lie in 0..%d: the depths without the deepest", len(c.Depths)-1)
	}
	share("AllToLastWeight", c.AllToLastWeight)
	share("LastToLastWeight", c.LastToLastWeight)

	if between("Batch", c.Batch, 1, maxBatch) && between("MicroBatch", c.MicroBatch, 0, c.Batch) && c.MicroBatch > 0 {
		check(c.Batch%c.MicroBatch == 0, "MicroBatch", c.MicroBatch, "must divide Batch %d", c.Batch)
	}
	check(c.Precision == BFloat16 || c.Precision == Float32, "Precision", c.Precision,
		"must be %s or %s", BFloat16, Float32)
	check(c.WeightDecay >= 0 && !math.IsInf(c.WeightDecay, 1), "WeightDecay", c.WeightDecay,
		"must be a number from 0 up")
	return errors.Join(faults...)
}

// fieldError is a *mask.FieldError: a field or an argument that cannot work, and what would work.
func fieldError(field string, value any, format string, args ...any) error {
	return &mask.FieldError{Field: field, Value: value, Want: fmt.Sprintf(format, args...)}
}

// tokens is N, the number of patches of an image.
func (c Config) tokens() int { return c.Grid() * c.Grid() }

// deepest is the last collected depth.
func (c Config) deepest() int { return c.Depths[len(c.Depths)-1] }

// micro is the number of images of a micro-batch.
func (c Config) micro() int {
	if c.MicroBatch == 0 {
		return c.Batch
	}
	return c.MicroBatch
}

// passes is the number of micro-batches of a step.
func (c Config) passes() int { return c.Batch / c.micro() }

// Masker makes the Masker of this grid and these masks.
func (c Config) Masker() (*mask.Masker, error) { return mask.New(c.Grid(), c.Masks) }
