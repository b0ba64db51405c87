package model

import (
	. "github.com/gomlx/gomlx/core/graph"
)

// predict runs the pathway of one source depth: a narrow ViT over the context and the positions to
// predict, then one linear head for every target depth. z [B, C, D] is the student's raw hidden
// state. It returns [BMK, LD]. Every target block is predicted alone, as a sequence of the context
// tokens and one mask token for each of its cells, so blocks never see each other.
func (n network) predict(w params, z *Node, at predictorPositions) *Node {
	b, c, p := at.b, at.c, n.PredictorWidth
	x := n.linear(w.in("predictor_embed"), z) // [B, C, P]
	mask := BroadcastToDims(w.get("mask_token"), b, 1, p)
	x = Concatenate([]*Node{x, mask}, 1) // [B, C+1, P]
	for i := range n.PredictorDepth {
		from := 0
		if i == n.PredictorDepth-1 {
			from = c // only the mask tokens go to the heads
		}
		if n.Remat {
			x = x.Checkpoint()
		}
		block := w.in("predictor_blocks.%d", i)
		qkv := n.qkv(block, x, n.PredictorHeads)
		if i == 0 {
			// Up to here all sequences of an image consist of the same C+1 vectors.
			x, qkv = at.spread(x), at.spread(qkv) // [BM, C+K, P] and [BM, C+K, 3P]
		}
		x = n.block(block, x, qkv, n.PredictorHeads, at.rope, from)
	}
	if n.Remat {
		x = x.StopCheckpoint()
	}
	heads, biases := make([]*Node, len(n.Depths)), make([]*Node, len(n.Depths))
	for i := range n.Depths {
		heads[i], biases[i] = folded(w.in("predictor_norm"), w.in("heads.%d", i))
	}
	y := n.affine(layerNorm(x), Concatenate(heads, 0), Concatenate(biases, 0)) // [BM, K, LD]
	return Reshape(y, b*at.m*at.k, len(n.Depths)*n.Width)
}

// predictorPositions are the positions of the sequences of a step, the same for all predictors.
type predictorPositions struct {
	b, c, m, k int
	rope       ropeCosSin
}

// newPredictorPositions puts the context [B, C] before every block of the targets [B, M, K].
func (n network) newPredictorPositions(context, targets *Node) predictorPositions {
	at := predictorPositions{
		b: targets.Shape().Dim(0), c: context.Shape().Dim(1), m: targets.Shape().Dim(1), k: targets.Shape().Dim(2),
	}
	context = BroadcastToDims(InsertAxes(context, 1), at.b, at.m, at.c)                   // [B, M, C]
	positions := Reshape(Concatenate([]*Node{context, targets}, 2), at.b*at.m, at.c+at.k) // [BM, C+K]
	at.rope = newRopeCosSin(context.Graph(), at.b*at.m, n.Grid(), n.PredictorWidth, n.PredictorHeads,
		n.RopeTheta, positions)
	return at
}

// spread copies what belongs to the context tokens and to the mask token into the sequences of the
// target blocks: [B, C+1, W] -> [BM, C+K, W].
func (at predictorPositions) spread(x *Node) *Node {
	width := x.Shape().Dim(2)
	part := func(from, to, copies int) *Node {
		return BroadcastToDims(InsertAxes(Slice(x, AxisRange(), AxisRange(from, to)), 1), at.b, at.m, copies, width)
	}
	y := Concatenate([]*Node{part(0, at.c, at.c), part(at.c, at.c+1, at.k)}, 2) // [B, M, C+K, W]
	return Reshape(y, at.b*at.m, at.c+at.k, width)
}
