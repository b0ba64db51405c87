package model

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// The calling convention of a step's programs. Only this file knows the order of their inputs:
//
//	program    inputs                                outputs
//	step       batch, numbers, state                 summary with the verdict, state
//	gradient   batch, numbers, params, gradAccum     summary, gradAccum
//	update     numbers, gradAccum, state             verdict, state
//
// Each part is a type here, with its order in one method. The compiler fills it with shapes, a
// graph with nodes, and the host with tensors. The lists of an owned part come back as outputs in
// the same order.
//
//	B images   C context tokens   M target blocks   K tokens of a block   S side of an image
//	R source depths of a step     L collected depths

// batch is what a pass sees of its images.
type batch[T any] struct {
	images  T // [B, S, S, 3]
	context T // [B, C] positions in the grid
	targets T // [B, M, K] positions in the grid
}

func (b batch[T]) flat() []T { return []T{b.images, b.context, b.targets} }

func batchOf[T any](list []T) batch[T] { return batch[T]{list[0], list[1], list[2]} }

// list is one list of a part: something of each of the arrays.
type list[T any] struct {
	arrays []array
	items  *[]T
}

// trained holds the lists of a network that AdamW moves.
type trained[T any] struct{ params, m, v []T }

// stepState is the state that a step reads and replaces.
type stepState[T any] struct {
	student    trained[T]
	teacher    []T
	predictors []trained[T] // of each slot
}

func newStepState[T any](c Config) *stepState[T] {
	return &stepState[T]{predictors: make([]trained[T], c.Slots())}
}

func (s *stepState[T]) lists(c Config) []list[T] {
	encoder, predictor := c.encoderArrays(), c.predictorArrays()
	all := []list[T]{
		{encoder, &s.student.params}, {encoder, &s.student.m}, {encoder, &s.student.v}, {encoder, &s.teacher},
	}
	for i := range s.predictors {
		p := &s.predictors[i]
		all = append(all, list[T]{predictor, &p.params}, list[T]{predictor, &p.m}, list[T]{predictor, &p.v})
	}
	return all
}

// stepParams are the parameters that a pass reads.
type stepParams[T any] struct {
	student, teacher []T
	predictors       [][]T // of each slot
}

func newStepParams[T any](c Config) *stepParams[T] {
	return &stepParams[T]{predictors: make([][]T, c.Slots())}
}

func (p *stepParams[T]) lists(c Config) []list[T] {
	all := []list[T]{{c.encoderArrays(), &p.student}, {c.encoderArrays(), &p.teacher}}
	for i := range p.predictors {
		all = append(all, list[T]{c.predictorArrays(), &p.predictors[i]})
	}
	return all
}

// byNetwork holds something of every array that has a gradient: of the student first, then of the
// predictor in each slot.
type byNetwork[T any] [][]T

func newByNetwork[T any](c Config) byNetwork[T] { return make(byNetwork[T], 1+c.Slots()) }

func (g byNetwork[T]) lists(c Config) []list[T] {
	all := []list[T]{{c.encoderArrays(), &g[0]}}
	for i := range g[1:] {
		all = append(all, list[T]{c.predictorArrays(), &g[1+i]})
	}
	return all
}

// flat joins the lists of a part.
func flat[T any](all []list[T]) (joined []T) {
	for _, l := range all {
		joined = append(joined, *l.items...)
	}
	return joined
}

// number is a small float32 input of a program.
type number struct {
	name string
	dims []int
}

const (
	inputLossWeights = "loss weights" // [R, L]
	inputSources     = "sources"      // [R-1, L-1] over the collected depths without the deepest
	inputFirstPass   = "first pass"   // 1 in the first pass of a step, which resets gradAccum; else 0
	inputPassShare   = "pass share"   // of a micro-batch in the step's mean
	inputAdamW       = "adamw"        // [1+R, 3] of the student and of the predictor in each slot
	inputEMA         = "ema"          // [2] of the teacher's moving average
)

// numbers are the small inputs of a program. They travel as one array, because the device waits
// while the host uploads.
type numbers []number

func (c Config) rowNumbers() numbers {
	list := numbers{{inputLossWeights, []int{c.Slots(), len(c.Depths)}}}
	if c.Slots() > 1 {
		list = append(list, number{inputSources, []int{c.Slots() - 1, len(c.Depths) - 1}})
	}
	return list
}

func (c Config) applyNumbers() numbers {
	return numbers{{inputAdamW, []int{1 + c.Slots(), adamWScalarCount}}, {inputEMA, []int{emaScalarCount}}}
}

func (c Config) gradNumbers() numbers {
	return join(c.rowNumbers(), numbers{{inputFirstPass, nil}, {inputPassShare, nil}})
}

func (c Config) stepNumbers() numbers { return join(c.rowNumbers(), c.applyNumbers()) }

func (n numbers) shape() []shapes.Shape {
	size := 0
	for _, x := range n {
		size += floatShape(x.dims...).Size()
	}
	return []shapes.Shape{floatShape(size)}
}

// pack makes the array of the numbers' values.
func (n numbers) pack(values map[string][]float32) *tensors.Tensor {
	var all []float32
	for _, x := range n {
		if len(values[x.name]) != floatShape(x.dims...).Size() {
			panic(fmt.Errorf("%d values of the input %q, which is %v", len(values[x.name]), x.name, x.dims))
		}
		all = append(all, values[x.name]...)
	}
	return tensors.FromFlatDataAndDimensions(all, len(all))
}

// numberNodes is the array of numbers inside a graph.
type numberNodes struct {
	numbers
	all *Node // [n]
}

// get slices one input out of the array.
func (n numberNodes) get(name string) *Node {
	from := 0
	for _, x := range n.numbers {
		to := from + floatShape(x.dims...).Size()
		if x.name == name {
			return Reshape(Slice(n.all, AxisRange(from, to)), x.dims...)
		}
		from = to
	}
	panic(fmt.Errorf("no input %q", name))
}

// The shapes of the inputs.

func floatShape(dims ...int) shapes.Shape { return shapes.Make(dtypes.Float32, dims...) }

func arrayShapes(arrays []array) (list []shapes.Shape) {
	for _, a := range arrays {
		list = append(list, floatShape(a.shape()...))
	}
	return list
}

// flatShapes fills the lists of a part with the shapes of its arrays, and joins them.
func flatShapes(all []list[shapes.Shape]) []shapes.Shape {
	for _, l := range all {
		*l.items = arrayShapes(l.arrays)
	}
	return flat(all)
}

func (c Config) batchShapes(s programShape) []shapes.Shape {
	images := dtypes.Uint8
	if s.floats {
		images = dtypes.Float32
	}
	return batch[shapes.Shape]{
		images:  shapes.Make(images, c.micro(), c.Image, c.Image, 3),
		context: shapes.Make(dtypes.Int32, c.micro(), s.context),
		targets: shapes.Make(dtypes.Int32, c.micro(), s.blocks, s.target),
	}.flat()
}

// gradAccumShapes are the shapes of the gradients that add up over micro-batches.
func (c Config) gradAccumShapes() []shapes.Shape {
	all := newByNetwork[shapes.Shape](c).lists(c)
	for _, l := range all {
		for _, a := range l.arrays {
			*l.items = append(*l.items, floatShape(a.trainedShape()...))
		}
	}
	return flat(all)
}

// inputs hands out the inputs of a graph in order.
type inputs struct{ rest []*Node }

func (in *inputs) take(n int) []*Node {
	taken := in.rest[:n]
	in.rest = in.rest[n:]
	return taken
}

func (in *inputs) one() *Node { return in.take(1)[0] }

func (in *inputs) fill(all []list[*Node]) {
	for _, l := range all {
		*l.items = in.take(len(l.arrays))
	}
}

func (in *inputs) batch() batch[*Node] { return batchOf(in.take(3)) }

func (in *inputs) numbers(n numbers) numberNodes { return numberNodes{n, in.one()} }

func (in *inputs) state(c Config) *stepState[*Node] {
	s := newStepState[*Node](c)
	in.fill(s.lists(c))
	return s
}

func (in *inputs) params(c Config) *stepParams[*Node] {
	p := newStepParams[*Node](c)
	in.fill(p.lists(c))
	return p
}

func (in *inputs) gradAccum(c Config) byNetwork[*Node] {
	g := newByNetwork[*Node](c)
	in.fill(g.lists(c))
	return g
}

func (in *inputs) trained(n int) trained[*Node] {
	return trained[*Node]{in.take(n), in.take(n), in.take(n)}
}

// The tensors of the host.

// batch uploads the masks of one micro-batch, and takes its images.
func (l *Learner) batch(in StepInput, pass int) []*tensors.Tensor {
	m, micro := in.Masks, l.micro()
	context := m.Context[pass*micro*m.C:][:micro*m.C]
	targets := m.Targets[pass*micro*m.M*m.K:][:micro*m.M*m.K]
	return batch[*tensors.Tensor]{
		images:  in.Images.microBatches[pass],
		context: tensors.FromFlatDataAndDimensions(context, micro, m.C),
		targets: tensors.FromFlatDataAndDimensions(targets, micro, m.M, m.K),
	}.flat()
}

// state points at the arrays that a step moves, of the student first, then of the predictors in
// the slots.
func (l *Learner) state(groups []*paramGroup) []**tensors.Tensor {
	s := newStepState[**tensors.Tensor](l.Config)
	at := func(g *paramGroup) trained[**tensors.Tensor] {
		return trained[**tensors.Tensor]{pointers(g.params), pointers(g.m), pointers(g.v)}
	}
	s.student, s.teacher = at(groups[0]), pointers(l.teacher)
	for slot, g := range groups[1:] {
		s.predictors[slot] = at(g)
	}
	return flat(s.lists(l.Config))
}

// params are the parameters that a pass reads, of the same groups.
func (l *Learner) params(groups []*paramGroup) []*tensors.Tensor {
	p := newStepParams[*tensors.Tensor](l.Config)
	p.student, p.teacher = groups[0].params, l.teacher
	for slot, g := range groups[1:] {
		p.predictors[slot] = g.params
	}
	return flat(p.lists(l.Config))
}

// pointers points at the elements of a list, so that a program can replace them.
func pointers(list []*tensors.Tensor) (at []**tensors.Tensor) {
	for i := range list {
		at = append(at, &list[i])
	}
	return at
}

// The three programs: their shapes, nodes and calls, in one order each.

func (c Config) stepShapes(s programShape) []shapes.Shape {
	return join(c.batchShapes(s), c.stepNumbers().shape(), flatShapes(newStepState[shapes.Shape](c).lists(c)))
}

func (c Config) stepNodes(nodes []*Node) (b batch[*Node], n numberNodes, s *stepState[*Node]) {
	in := &inputs{nodes}
	return in.batch(), in.numbers(c.stepNumbers()), in.state(c)
}

func (l *Learner) runStep(in StepInput, values map[string][]float32, groups []*paramGroup) ([][]float64, error) {
	inputs := append(l.batch(in, 0), l.stepNumbers().pack(values))
	return l.device.run(l.programs.stepExec, inputs, nil, l.state(groups))
}

func (c Config) gradShapes(s programShape) []shapes.Shape {
	params := flatShapes(newStepParams[shapes.Shape](c).lists(c))
	return join(c.batchShapes(s), c.gradNumbers().shape(), params, c.gradAccumShapes())
}

func (c Config) gradNodes(nodes []*Node) (
	b batch[*Node], n numberNodes, p *stepParams[*Node], gradAccum byNetwork[*Node],
) {
	in := &inputs{nodes}
	return in.batch(), in.numbers(c.gradNumbers()), in.params(c), in.gradAccum(c)
}

func (l *Learner) runGrad(
	in StepInput, pass int, values map[string][]float32, groups []*paramGroup,
) ([][]float64, error) {
	inputs := append(l.batch(in, pass), l.gradNumbers().pack(values))
	return l.device.run(l.programs.gradExec, inputs, l.params(groups), pointers(l.gradAccum))
}

func (c Config) applyShapes() []shapes.Shape {
	state := flatShapes(newStepState[shapes.Shape](c).lists(c))
	return join(c.applyNumbers().shape(), c.gradAccumShapes(), state)
}

func (c Config) applyNodes(nodes []*Node) (n numberNodes, gradAccum byNetwork[*Node], s *stepState[*Node]) {
	in := &inputs{nodes}
	return in.numbers(c.applyNumbers()), in.gradAccum(c), in.state(c)
}

func (l *Learner) runApply(values map[string][]float32, groups []*paramGroup) ([][]float64, error) {
	inputs := []*tensors.Tensor{l.applyNumbers().pack(values)}
	return l.device.run(l.programs.applyExec, inputs, l.gradAccum, l.state(groups))
}

// join puts lists behind each other in a list of their own.
func join[L ~[]T, T any](all ...L) (joined L) {
	for _, list := range all {
		joined = append(joined, list...)
	}
	return joined
}
