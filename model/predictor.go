package model

import (
	. "github.com/gomlx/gomlx/core/graph"
)

// predict runs the pathway of one source depth: a narrow ViT over the context and the places to predict, then one
// linear head for every target depth. z [B, C, D] is the student's raw hidden state; context [B, C]
// and targets [B, M, K] are places. It returns [BMK, LD]: every target block is predicted alone, as a sequence of the
// context tokens and one mask token for each of its cells, so blocks never see each other.
func (n network) predict(w params, z *Node, places predictorPositions) *Node {
	b, c, p := places.b, places.c, n.PredictorWidth
	x := n.linear(w.in("predictor_embed"), z) // [B, C, P]
	mask := BroadcastToDims(w.get("mask_token"), b, 1, p)
	x = Concatenate([]*Node{x, mask}, 1) // [B, C+1, P]
	for i := range n.PredictorDepth {
		from := 0
		if i == n.PredictorDepth-1 {
			from = c // only the masked places go to the heads
		}
		if n.Remat {
			x = x.Checkpoint()
		}
		block := w.in("predictor_blocks.%d", i)
		qkv := n.qkv(block, x, n.PredictorHeads)
		if i == 0 {
			// Before the first attention all sequences of an image consist of the same C+1 vectors, so only here they are spread.
			x, qkv = places.spread(x), places.spread(qkv) // [BM, C+K, P] and [BM, C+K, 3P]
		}
		x = n.block(block, x, qkv, n.PredictorHeads, places.rope, from)
	}
	if n.Remat {
		x = x.StopCheckpoint()
	}
	heads, biases := make([]*Node, len(n.Depths)), make([]*Node, len(n.Depths))
	for i := range n.Depths {
		heads[i], biases[i] = folded(w.in("predictor_norm"), w.in("heads.%d", i))
	}
	y := n.affine(layerNorm(x), Concatenate(heads, 0), Concatenate(biases, 0)) // [BM, K, LD]
	return Reshape(y, b*places.m*places.k, len(n.Depths)*n.Width)
}

// predictorPositions are the places of the sequences of a step, the same for all predictors.
type predictorPositions struct {
	b, c, m, k int
	rope       ropeCosSin
}

func (n network) newPredictorPositions(context, targets *Node) predictorPositions {
	s := predictorPositions{b: targets.Shape().Dim(0), c: context.Shape().Dim(1), m: targets.Shape().Dim(1), k: targets.Shape().Dim(2)}
	context = BroadcastToDims(InsertAxes(context, 1), s.b, s.m, s.c)               // [B, M, C]
	places := Reshape(Concatenate([]*Node{context, targets}, 2), s.b*s.m, s.c+s.k) // [BM, C+K]
	s.rope = newRopeCosSin(context.Graph(), s.b*s.m, n.Grid(), n.PredictorWidth, n.PredictorHeads, n.RopeTheta, places)
	return s
}

// spread makes the sequences of the target blocks of what belongs to context tokens and to a mask token: [B, C+1, W] ->
// [BM, C+K, W].
func (s predictorPositions) spread(x *Node) *Node {
	width := x.Shape().Dim(2)
	part := func(from, to, copies int) *Node {
		return BroadcastToDims(InsertAxes(Slice(x, AxisRange(), AxisRange(from, to)), 1), s.b, s.m, copies, width)
	}
	y := Concatenate([]*Node{part(0, s.c, s.c), part(s.c, s.c+1, s.k)}, 2) // [B, M, C+K, W]
	return Reshape(y, s.b*s.m, s.c+s.k, width)
}
