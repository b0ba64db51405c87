package model

// Need is what steps of a mask shape take of a device's memory, in bytes. State, Sums, Images and Results are exact;
// Gradients and Activations are what the arrays of a step come to by a rule, see Config.Need.
type Need struct {
	State       int64 // student and predictors with two moments each, and the teacher
	Sums        int64 // of gradients over micro-batches
	Images      int64 // of two batches: while a step runs the next one's are copied
	Results     int64 // the state that a step returns lies beside the one that it was given
	Gradients   int64
	Activations int64
}

// Total is the sum of them.
func (n Need) Total() int64 {
	return n.State + n.Sums + n.Images + n.Results + n.Gradients + n.Activations
}

// Need counts what steps take. fused says that attention is one operation of the device, which keeps no scores. Activations are
// what the forward pass of one micro-batch leaves for the backward pass, if a compiler stores what goes into matrix
// products and comes out of them and computes the rest where it is used: of a token in a block the residual stream
// twice, in float32; both norms, queries, keys, values, the result of attention, and the hidden layer of the MLP before
// and behind its activation, in the narrow type. Of the teacher one block at a time is there. Targets, and the predictions of every
// slot with their gradients, are float32.
func (c Config) Need(s MaskShape, fused bool) Need {
	encoder, predictor := bytesOf(c.encoderArrays()), bytesOf(c.predictorArrays())
	slots := int64(c.Slots())
	n := Need{
		State:     c.StateBytes(),
		Images:    2 * int64(c.Batch) * int64(c.Image*c.Image*3),
		Results:   4*encoder + 3*slots*predictor,
		Gradients: encoder + slots*predictor,
	}
	if c.passes() > 1 {
		n.Sums = n.Gradients
	}
	tokens, places := c.tokens(), c.Masks.TargetBlocks*s.Target
	student := c.kept(c.deepest()+1, c.Width, c.Heads, s.Context, fused)
	teacher := c.keptInBlock(c.Width, c.Heads, tokens, fused)
	predictors := c.Slots() * c.Masks.TargetBlocks * c.kept(c.PredictorDepth, c.PredictorWidth, c.PredictorHeads, s.Context+s.Target, fused)
	features := (1 + 2*c.Slots()) * 4 * places * len(c.Depths) * c.Width
	n.Activations = int64(c.micro()) * int64(student+teacher+predictors+features)
	return n
}

// StateBytes are those of the whole state, in float32.
func (c Config) StateBytes() int64 {
	return 4*bytesOf(c.encoderArrays()) + int64(len(c.Depths))*3*bytesOf(c.predictorArrays())
}

// kept is what a sequence leaves behind in a stack of blocks.
func (c Config) kept(blocks, width, heads, tokens int, fused bool) int {
	if c.Remat {
		return blocks*tokens*4*width + c.keptInBlock(width, heads, tokens, fused)
	}
	return blocks * c.keptInBlock(width, heads, tokens, fused)
}

func (c Config) keptInBlock(width, heads, tokens int, fused bool) int {
	narrow := 4
	if c.Precision == BFloat16 {
		narrow = 2
	}
	scores := 0
	if !fused {
		scores = heads * tokens * (4 + narrow)
	}
	return tokens * ((8+6*narrow+2*narrow*c.MLPRatio)*width + scores)
}

func bytesOf(arrays []array) (n int64) {
	for _, a := range arrays {
		n += 4 * int64(a.size())
	}
	return n
}
