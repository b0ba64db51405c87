package model

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// A step is a pure function of its inputs. Its programs take and return the state as flat lists of arrays: of the student
// its weights and both moments, of the teacher its weights, then for every slot a predictor's weights and both moments.

// stateNodes is the state of a step inside a graph.
type stateNodes struct {
	student    trainedNodes
	teacher    []*Node
	predictors []trainedNodes // one for each slot
}

// trainedNodes are the arrays of a network that an optimiser moves.
type trainedNodes struct{ params, m, v []*Node }

// inputs hands out the inputs of a program in order.
type inputs struct{ rest []*Node }

func (in *inputs) take(n int) []*Node {
	taken := in.rest[:n]
	in.rest = in.rest[n:]
	return taken
}

func (in *inputs) one() *Node { return in.take(1)[0] }

func (in *inputs) trained(n int) trainedNodes {
	return trainedNodes{in.take(n), in.take(n), in.take(n)}
}

func (in *inputs) batch() batch { return batch{in.one(), in.one(), in.one()} }

// numbers hands out the small float32 inputs of a program. They come as one array: the device waits while the host uploads.
type numbers struct {
	all   *Node // [n]
	taken int
}

func (in *inputs) numbers() *numbers { return &numbers{all: in.one()} }

func (n *numbers) take(dims ...int) *Node {
	from := n.taken
	n.taken += floatShape(dims...).Size()
	return Reshape(Slice(n.all, AxisRange(from, n.taken)), dims...)
}

func (n *numbers) rows(c Config) rowInputs {
	r := rowInputs{lossWeights: n.take(c.Slots(), len(c.Depths))}
	if c.Slots() > 1 {
		r.oneHot = n.take(c.Slots()-1, len(c.Depths)-1)
	}
	return r
}

func (in *inputs) state(n network) stateNodes {
	encoder, predictor := len(n.encoderArrays()), len(n.predictorArrays())
	s := stateNodes{student: in.trained(encoder), teacher: in.take(encoder)}
	for range n.Slots() {
		s.predictors = append(s.predictors, in.trained(predictor))
	}
	return s
}

// gradAccum are gradients by group: the student's, then each slot's.
func (in *inputs) gradAccum(n network) [][]*Node {
	sums := [][]*Node{in.take(len(n.encoderArrays()))}
	for range n.Slots() {
		sums = append(sums, in.take(len(n.predictorArrays())))
	}
	return sums
}

func (s stateNodes) flat() []*Node {
	all := [][]*Node{s.student.params, s.student.m, s.student.v, s.teacher}
	for _, p := range s.predictors {
		all = append(all, p.params, p.m, p.v)
	}
	var nodes []*Node
	for _, list := range all {
		nodes = append(nodes, list...)
	}
	return nodes
}

// stepGraph is a step in one piece. Inputs: images, context, targets, numbers, state. The numbers are row weights, sources (with
// more than one slot), group scalars [1+R, 3], averaging weights [2]. Outputs: summary with the verdict behind it, state.
func (n network) stepGraph(nodes []*Node) []*Node {
	in := &inputs{nodes}
	b, numbers := in.batch(), in.numbers()
	s := in.state(n)
	summary, gradients := n.differentiate(b, numbers.rows(n.Config), s.student.params, s.teacher, predictorWeights(s))
	ok := finite(gradients)
	summary = Concatenate([]*Node{summary, verdict(ok)}, 0)
	return append([]*Node{summary}, n.applyUpdate(s, gradients, ok, numbers).flat()...)
}

// gradGraph is the first half of a step on one micro-batch: it adds the gradients of its share to sums. Inputs:
// images, context, targets, numbers, student, teacher, predictors (weights alone), sums. The numbers are row weights, sources
// (with more than one slot), whether this is the first micro-batch (the sums before it do not count), its share. Outputs:
// summary, sums.
func (n network) gradGraph(nodes []*Node) []*Node {
	in := &inputs{nodes}
	b, numbers := in.batch(), in.numbers()
	r := numbers.rows(n.Config)
	first, share := ConvertDType(numbers.take(), dtypes.Bool), numbers.take()
	encoder, predictor := len(n.encoderArrays()), len(n.predictorArrays())
	student, teacher := in.take(encoder), in.take(encoder)
	var predictors [][]*Node
	for range n.Slots() {
		predictors = append(predictors, in.take(predictor))
	}
	sums := in.gradAccum(n)
	summary, gradients := n.differentiate(b, r, student, teacher, predictors)
	outputs := []*Node{summary}
	for i, group := range gradients {
		for j, gradient := range group {
			before := Where(first, ZerosLike(gradient), sums[i][j])
			outputs = append(outputs, Add(before, Mul(gradient, share)))
		}
	}
	return outputs
}

// applyGraph is the second half of a step. Inputs: numbers, the sums of the gradients, state. The numbers are group scalars
// [1+R, 3], averaging weights [2]. Outputs: verdict, state.
func (n network) applyGraph(nodes []*Node) []*Node {
	in := &inputs{nodes}
	numbers, gradients := in.numbers(), in.gradAccum(n)
	ok := finite(gradients)
	return append([]*Node{verdict(ok)}, n.applyUpdate(in.state(n), gradients, ok, numbers).flat()...)
}

// differentiate builds the objective and its gradients, stacked as the arrays are: the student's, then each predictor's.
// The summary is the table of MSE, row after row, then the loss: [RL + 1].
func (n network) differentiate(b batch, r rowInputs, student, teacher []*Node, predictors [][]*Node) (summary *Node, gradients [][]*Node) {
	s, t := newParams(n.encoderArrays(), student), newParams(n.encoderArrays(), teacher)
	var p []params
	for _, stacked := range predictors {
		p = append(p, newParams(n.predictorArrays(), stacked))
	}
	table, loss := n.objective(b, r, s, t, p)
	summary = Concatenate([]*Node{Reshape(table, -1), Reshape(loss, 1)}, 0)
	return summary, n.gradients(loss, s, p)
}

// applyUpdate is AdamW on the student and the predictors in the slots, then the teacher's average over the updated student.
// If the gradients are not finite, all stays as it was.
func (n network) applyUpdate(s stateNodes, gradients [][]*Node, ok *Node, numbers *numbers) stateNodes {
	scalars, averaging := numbers.take(1+n.Slots(), adamWScalarCount), numbers.take(emaScalarCount)
	optimise := func(arrays []array, t trainedNodes, gradients []*Node, group int) (after trainedNodes) {
		own := Reshape(Slice(scalars, AxisElem(group)), adamWScalarCount)
		for i, a := range arrays {
			w, first, second := adamW(a, own, t.params[i], t.m[i], t.v[i], gradients[i])
			after.params = append(after.params, Where(ok, w, t.params[i]))
			after.m = append(after.m, Where(ok, first, t.m[i]))
			after.v = append(after.v, Where(ok, second, t.v[i]))
		}
		return after
	}
	after := stateNodes{student: optimise(n.encoderArrays(), s.student, gradients[0], 0)}
	for i, teacher := range s.teacher {
		after.teacher = append(after.teacher, Where(ok, ema(averaging, teacher, after.student.params[i]), teacher))
	}
	for slot, p := range s.predictors {
		after.predictors = append(after.predictors, optimise(n.predictorArrays(), p, gradients[1+slot], 1+slot))
	}
	return after
}

func predictorWeights(s stateNodes) (stacked [][]*Node) {
	for _, p := range s.predictors {
		stacked = append(stacked, p.params)
	}
	return stacked
}

// verdict turns a truth value into a number that crosses to the host: 1 for true, [1].
func verdict(ok *Node) *Node { return Reshape(ConvertDType(ok, dtypes.Float32), 1) }
