package model

import (
	. "github.com/gomlx/gomlx/core/graph"
)

// rowInputs say which source depths the rows of a step's table have. Which depth feeds a slot is an
// input of the program, so one program serves every choice of depths.
type rowInputs struct {
	oneHot      *Node // [R-1, L-1] over the depths without the deepest, which always feeds the last slot
	lossWeights *Node // [R, L] of the target depths
}

// objective builds cI-JEPA's table of prediction problems and its loss (model/reference/METHOD.md,
// section 4):
//
//	loss = 1/R sum_s sum_t weights[s, t] MSE(prediction of t from source s, teacher's features at t)
//
// It returns the table of MSE [R, L] and the scalar loss.
func (n network) objective(
	in batch[*Node], r rowInputs, student, teacher params, predictors []params,
) (table, loss *Node) {
	patches := n.patches(in.images)
	y := n.targetFeatures(teacher, patches, in.targets)                        // [BMK, LD]
	hidden := n.encode(student, gatherTokens(patches, in.context), in.context) // [B, C, D] of every depth
	at := n.newPredictorPositions(in.context, in.targets)
	var rows []*Node
	for slot, w := range predictors {
		prediction := n.predict(w, n.source(hidden, r, slot), at)
		errors := ReduceMean(Square(Sub(prediction, y)), 0)                         // [LD]
		rows = append(rows, ReduceMean(Reshape(errors, len(n.Depths), n.Width), 1)) // [L]
	}
	table = Stack(rows, 0) // [R, L]
	loss = DivScalar(ReduceAllSum(Mul(table, r.lossWeights)), float64(len(predictors)))
	return table, loss
}

// targetFeatures are the teacher's hidden states at the collected depths, at the cells of the
// target blocks: [BMK, LD]. Each is normalised over its features, so that all cells of the table
// share one scale. They have no gradient.
//
// They are kept as [tokens, depths*width] to match the layout of the fused head matmul. With a
// separate depth axis XLA picks a strided layout.
func (n network) targetFeatures(teacher params, patches, targets *Node) *Node {
	b, m, k := targets.Shape().Dim(0), targets.Shape().Dim(1), targets.Shape().Dim(2)
	n.Remat = false                           // there is no backward pass to keep anything for
	hidden := n.encode(teacher, patches, nil) // [B, N, D] of every depth
	features := make([]*Node, len(n.Depths))
	for i, depth := range n.Depths {
		features[i] = Reshape(gatherTokens(hidden[depth], Reshape(targets, b, m*k)), b*m*k, n.Width)
	}
	y := Concatenate(features, 1)
	if n.TargetNorm {
		y = normalise(Reshape(y, b*m*k*len(n.Depths), n.Width), targetEpsilon)
		y = Reshape(y, b*m*k, len(n.Depths)*n.Width)
	}
	return StopGradient(y)
}

// source is the student's hidden state [B, C, D] that feeds a slot. It is a sum over the depths
// with one-hot factors: exact, and cheaper than a gather, whose gradient would be a scatter.
func (n network) source(hidden []*Node, r rowInputs, slot int) *Node {
	if slot == n.Slots()-1 {
		return hidden[n.deepest()]
	}
	var z *Node
	for i, depth := range n.Depths[:len(n.Depths)-1] {
		x := Mul(hidden[depth], Reshape(Slice(r.oneHot, AxisElem(slot), AxisElem(i)), 1, 1, 1))
		if z == nil {
			z = x
		} else {
			z = Add(z, x)
		}
	}
	return z
}

// gradients differentiates the loss with respect to the trained rows of the student and of each
// predictor, and stacks them as the arrays are stacked.
func (n network) gradients(loss *Node, student params, predictors []params) byNetwork[*Node] {
	var leaves []*Node
	each := func(f func(a array, w params, network int)) {
		for _, a := range n.encoderArrays() {
			f(a, student, 0)
		}
		for slot, w := range predictors {
			for _, a := range n.predictorArrays() {
				f(a, w, 1+slot)
			}
		}
	}
	each(func(a array, w params, _ int) {
		for _, name := range a.trained() {
			leaves = append(leaves, w.get(name))
		}
	})
	gradients := Gradient(loss, leaves...)
	stacked := newByNetwork[*Node](n.Config)
	each(func(a array, _ params, network int) {
		rows := len(a.trained())
		gradient := gradients[0]
		if a.rows > 0 {
			gradient = Stack(gradients[:rows], 0)
		}
		gradients = gradients[rows:]
		stacked[network] = append(stacked[network], gradient)
	})
	return stacked
}

// finite says whether all gradients are finite: a scalar truth value.
func finite(gradients byNetwork[*Node]) *Node {
	var all *Node
	for _, group := range gradients {
		for _, gradient := range group {
			if one := LogicalAll(IsFinite(gradient)); all == nil {
				all = one
			} else {
				all = LogicalAnd(all, one)
			}
		}
	}
	return all
}

// rowWeights are the weights w(source, t) of the target depths in the row of a source depth. They
// sum to 1. The deepest target gets the row's bias, and the others share the rest evenly. The bias
// is lastToLast for the deepest source if it is set, else allToLast if that is set; a row with
// neither is uniform. (The post's all_to_last_weight and last_to_last_weight.)
func rowWeights(depths []int, source int, allToLast, lastToLast *float64) []float64 {
	n := len(depths)
	weights := make([]float64, n)
	if n == 1 {
		weights[0] = 1
		return weights
	}
	bias := allToLast
	if source == depths[n-1] && lastToLast != nil {
		bias = lastToLast
	}
	deepest := 1 / float64(n)
	if bias != nil {
		deepest = *bias
	}
	for i := range weights {
		weights[i] = (1 - deepest) / float64(n-1)
	}
	weights[n-1] = deepest
	return weights
}
