package model

import (
	"fmt"
	"strings"

	. "github.com/gomlx/gomlx/core/graph"
)

// array is one stored array of a network. The arrays of like layers are stacked on a leading axis,
// one row a layer, so that a state is a few large arrays: "blocks.*.attn.qkv.weight" is
// [depth, 3D, D], and its row 2 is the reference's "blocks.2.attn.qkv.weight". All are in PyTorch's
// layout (Linear [out, in], convolution [out, in, h, w]).
type array struct {
	name string // with "*" for the row if it is stacked
	rows int    // 0 if it is not stacked
	dims []int  // of one row
	kind kind
	idle int // rows at the end that no loss reaches: the blocks after the deepest collected depth
}

// kind says how an array is initialised, and whether it decays.
type kind int

const (
	matrix kind = iota // normal of std 0.02; decays. The mask token too
	bias               // zeros
	gain               // ones
)

// shape is the array's own, with the leading axis of its rows.
func (a array) shape() []int {
	if a.rows == 0 {
		return a.dims
	}
	return append([]int{a.rows}, a.dims...)
}

// trainedShape is the shape of its gradient.
func (a array) trainedShape() []int {
	if a.rows == 0 {
		return a.dims
	}
	return append([]int{a.rows - a.idle}, a.dims...)
}

// names are the reference's names of its rows.
func (a array) names() []string {
	if a.rows == 0 {
		return []string{a.name}
	}
	names := make([]string, a.rows)
	for i := range names {
		names[i] = strings.Replace(a.name, "*", fmt.Sprint(i), 1)
	}
	return names
}

// trained are the names of the rows that have a gradient. The others stay as they are, without
// decay: an optimizer leaves a weight without a gradient alone.
func (a array) trained() []string {
	names := a.names()
	return names[:len(names)-a.idle]
}

// rowSize is the number of elements of one row.
func (a array) rowSize() int {
	n := 1
	for _, d := range a.dims {
		n *= d
	}
	return n
}

// size is the number of elements of all rows.
func (a array) size() int { return max(a.rows, 1) * a.rowSize() }

func linearArrays(name string, rows, out, in int) []array {
	return []array{
		{name: name + ".weight", rows: rows, dims: []int{out, in}, kind: matrix},
		{name: name + ".bias", rows: rows, dims: []int{out}, kind: bias},
	}
}

func normArrays(name string, rows, width int) []array {
	return []array{
		{name: name + ".weight", rows: rows, dims: []int{width}, kind: gain},
		{name: name + ".bias", rows: rows, dims: []int{width}, kind: bias},
	}
}

func blockArrays(name string, depth, width, ratio int) []array {
	return join(
		normArrays(name+".*.norm1", depth, width),
		linearArrays(name+".*.attn.qkv", depth, 3*width, width),
		linearArrays(name+".*.attn.proj", depth, width, width),
		normArrays(name+".*.norm2", depth, width),
		linearArrays(name+".*.mlp.fc1", depth, ratio*width, width),
		linearArrays(name+".*.mlp.fc2", depth, width, ratio*width),
	)
}

// encoderArrays are the arrays of the student and of the teacher.
func (c Config) encoderArrays() []array {
	blocks := blockArrays("blocks", c.Depth, c.Width, c.MLPRatio)
	for i := range blocks {
		blocks[i].idle = c.Depth - 1 - c.deepest()
	}
	return join(
		[]array{
			{name: "patch_embed.proj.weight", dims: []int{c.Width, 3, c.Patch, c.Patch}, kind: matrix},
			{name: "patch_embed.proj.bias", dims: []int{c.Width}, kind: bias},
		},
		blocks,
	)
}

// predictorArrays are the arrays of the predictor of one source depth, with its heads.
func (c Config) predictorArrays() []array {
	return join(
		linearArrays("predictor_embed", 0, c.PredictorWidth, c.Width),
		[]array{{name: "mask_token", dims: []int{1, 1, c.PredictorWidth}, kind: matrix}},
		blockArrays("predictor_blocks", c.PredictorDepth, c.PredictorWidth, c.MLPRatio),
		normArrays("predictor_norm", 0, c.PredictorWidth),
		linearArrays("heads.*", len(c.Depths), c.Width, c.PredictorWidth),
	)
}

// params are the parameters of one network inside a graph, by the reference's names.
type params struct {
	rows   map[string]*Node
	prefix string
}

// newParams splits the stacked arrays, in order, into rows. Gradients are taken with respect to the
// rows: the gradient of a row's slice would be an array of zeros as large as the stack, for every
// row.
func newParams(arrays []array, stacked []*Node) params {
	w := params{rows: map[string]*Node{}}
	for i, a := range arrays {
		if a.rows == 0 {
			w.rows[a.name] = stacked[i]
			continue
		}
		for r, name := range a.names() {
			w.rows[name] = Reshape(Slice(stacked[i], AxisElem(r)), a.dims...)
		}
	}
	return w
}

// in is a part of the network: in("blocks.2").get("norm1.weight") is "blocks.2.norm1.weight".
func (w params) in(format string, args ...any) params {
	return params{w.rows, w.prefix + fmt.Sprintf(format, args...) + "."}
}

// get returns a parameter. It panics if the network has none of that name.
func (w params) get(name string) *Node {
	node := w.rows[w.prefix+name]
	if node == nil {
		panic(fmt.Errorf("no weight %s%s", w.prefix, name))
	}
	return node
}
