package model

import (
	. "github.com/gomlx/gomlx/core/graph"
)

// predict runs the pathway of one source depth: a narrow ViT over the context and the places to predict, then one
// linear head for every target depth. z [B, C, D] is the student's raw hidden state; context [B, C]
// and targets [B, M, K] are places. It returns [BMK, LD]: every target block is predicted alone, as a sequence of the
// context tokens and one mask token for each of its cells, so blocks never see each other.
func (n network) predict(w weights, z *Node, places predictorPlaces) *Node {
	b, c, m, k, p := places.b, places.c, places.m, places.k, n.PredictorWidth
	x := n.linear(w.in("predictor_embed"), z)                                      // [B, C, P]
	x = BroadcastToDims(InsertAxes(x, 1), b, m, c, p)                              // [B, M, C, P]
	masks := BroadcastToDims(Reshape(w.get("mask_token"), 1, 1, 1, p), b, m, k, p) // [B, M, K, P]
	x = Reshape(Concatenate([]*Node{x, masks}, 2), b*m, c+k, p)                    // [BM, C+K, P]
	for i := range n.PredictorDepth {
		from := 0
		if i == n.PredictorDepth-1 {
			from = c // only the masked places go to the heads
		}
		if n.Remat {
			x = x.Checkpoint()
		}
		x = n.block(w.in("predictor_blocks.%d", i), x, n.PredictorHeads, places.turns, from)
	}
	if n.Remat {
		x = x.StopCheckpoint()
	}
	heads, biases := make([]*Node, len(n.Depths)), make([]*Node, len(n.Depths))
	for i := range n.Depths {
		heads[i], biases[i] = folded(w.in("predictor_norm"), w.in("heads.%d", i))
	}
	y := n.affine(layerNorm(x), Concatenate(heads, 0), Concatenate(biases, 0)) // [BM, K, LD]
	return Reshape(y, b*m*k, len(n.Depths)*n.Width)
}

// predictorPlaces are the places of the sequences of a step, the same for all predictors.
type predictorPlaces struct {
	b, c, m, k int
	turns      turns
}

func (n network) newPredictorPlaces(context, targets *Node) predictorPlaces {
	s := predictorPlaces{b: targets.Shape().Dim(0), c: context.Shape().Dim(1), m: targets.Shape().Dim(1), k: targets.Shape().Dim(2)}
	context = BroadcastToDims(InsertAxes(context, 1), s.b, s.m, s.c)               // [B, M, C]
	places := Reshape(Concatenate([]*Node{context, targets}, 2), s.b*s.m, s.c+s.k) // [BM, C+K]
	s.turns = newTurns(context.Graph(), s.b*s.m, n.Grid(), n.PredictorWidth, n.PredictorHeads, n.RopeTheta, places)
	return s
}
