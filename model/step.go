package model

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// The graphs of a step. A step is a pure function of its inputs, whose order is in call.go.

// stepGraph is a step in one program.
func (n network) stepGraph(nodes []*Node) []*Node {
	b, numbers, s := n.stepNodes(nodes)
	var predictors [][]*Node
	for _, p := range s.predictors {
		predictors = append(predictors, p.params)
	}
	params := stepParams[*Node]{s.student.params, s.teacher, predictors}
	summary, gradients := n.differentiate(b, numbers.rows(n.Config), params)
	ok := finite(gradients)
	summary = Concatenate([]*Node{summary, verdict(ok)}, 0)
	after := n.applyUpdate(s, gradients, ok, numbers)
	return append([]*Node{summary}, flat(after.lists(n.Config))...)
}

// gradGraph adds the gradients of one micro-batch, times its share, to those of the passes before.
func (n network) gradGraph(nodes []*Node) []*Node {
	b, numbers, params, gradAccum := n.gradNodes(nodes)
	rows := numbers.rows(n.Config)
	first, share := ConvertDType(numbers.get(inputFirstPass), dtypes.Bool), numbers.get(inputPassShare)
	summary, gradients := n.differentiate(b, rows, *params)
	for i, group := range gradients {
		for j, gradient := range group {
			before := Where(first, ZerosLike(gradient), gradAccum[i][j])
			group[j] = Add(before, Mul(gradient, share))
		}
	}
	return append([]*Node{summary}, flat(gradients.lists(n.Config))...)
}

// applyGraph updates the state with the accumulated gradients.
func (n network) applyGraph(nodes []*Node) []*Node {
	numbers, gradients, s := n.applyNodes(nodes)
	ok := finite(gradients)
	summary := verdict(ok)
	after := n.applyUpdate(s, gradients, ok, numbers)
	return append([]*Node{summary}, flat(after.lists(n.Config))...)
}

// differentiate builds the objective and its gradients, stacked as the arrays are. The summary is
// the table of MSE, row after row, then the loss: [RL + 1].
func (n network) differentiate(
	b batch[*Node], rows rowInputs, p stepParams[*Node],
) (summary *Node, gradients byNetwork[*Node]) {
	student, teacher := newParams(n.encoderArrays(), p.student), newParams(n.encoderArrays(), p.teacher)
	var predictors []params
	for _, stacked := range p.predictors {
		predictors = append(predictors, newParams(n.predictorArrays(), stacked))
	}
	table, loss := n.objective(b, rows, student, teacher, predictors)
	summary = Concatenate([]*Node{Reshape(table, -1), Reshape(loss, 1)}, 0)
	return summary, n.gradients(loss, student, predictors)
}

// rows are the rows of the table.
func (n numberNodes) rows(c Config) rowInputs {
	r := rowInputs{lossWeights: n.get(inputLossWeights)}
	if c.Slots() > 1 {
		r.oneHot = n.get(inputSources)
	}
	return r
}

// applyUpdate is AdamW on the student and on the predictors in the slots, then the teacher's
// moving average over the updated student. If a gradient is not finite, all stays as it was.
func (n network) applyUpdate(
	s *stepState[*Node], gradients byNetwork[*Node], ok *Node, numbers numberNodes,
) *stepState[*Node] {
	scalars, emaWeights := numbers.get(inputAdamW), numbers.get(inputEMA)
	update := func(arrays []array, before trained[*Node], network int) (after trained[*Node]) {
		own := Reshape(Slice(scalars, AxisElem(network)), adamWScalarCount)
		for i, a := range arrays {
			params, m, v := adamW(a, own, before.params[i], before.m[i], before.v[i], gradients[network][i])
			after.params = append(after.params, Where(ok, params, before.params[i]))
			after.m = append(after.m, Where(ok, m, before.m[i]))
			after.v = append(after.v, Where(ok, v, before.v[i]))
		}
		return after
	}
	after := newStepState[*Node](n.Config)
	after.student = update(n.encoderArrays(), s.student, 0)
	for i, teacher := range s.teacher {
		after.teacher = append(after.teacher, Where(ok, ema(emaWeights, teacher, after.student.params[i]), teacher))
	}
	for slot, p := range s.predictors {
		after.predictors[slot] = update(n.predictorArrays(), p, 1+slot)
	}
	return after
}

// verdict turns a truth value into a number that crosses to the host: 1 for true, [1].
func verdict(ok *Node) *Node { return Reshape(ConvertDType(ok, dtypes.Float32), 1) }
