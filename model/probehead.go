package model

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// The probe's own small programs, on features that are already on the device. Shapes:
//
//	B images of a pass   L collected depths   D width of the features   K classes

// logits are those of every depth: features [B, L, D], weight [L, K, D], bias [L, K] -> [L, B, K]. They are float32 in
// both precisions: next to the encoder they cost nothing.
func logits(features, weight, bias *Node) *Node {
	y := dot(features, weight, []int{2}, []int{1}, []int{2}, []int{0})
	return Add(y, InsertAxes(bias, 1))
}

// trainHeads is one update of the heads. Inputs: classes [B], the weight of every image in the loss [B], scalars [3],
// features [B, L, D], then the heads' arrays with both moments. Outputs: loss [L], the arrays.
func (p *Probe) trainHeads(nodes []*Node) []*Node {
	in := inputs{nodes}
	classes, share, scalars, features := in.one(), in.one(), in.one(), in.one()
	heads := in.trained(len(p.heads.arrays))
	features = StopGradient(features)
	likely := LogSoftmax(logits(features, heads.w[0], heads.w[1]), -1) // [L, B, K]
	right := InsertAxes(OneHot(classes, p.Classes, dtypes.Float32), 0) // [1, B, K]
	surprise := Neg(ReduceSum(Mul(likely, right), -1))                 // [L, B]
	loss := ReduceSum(Mul(surprise, InsertAxes(share, 0)), -1)         // [L]
	gradients := Gradient(ReduceAllSum(loss), heads.w...)              // no depth reaches another's head
	outputs := []*Node{loss}
	var after trainedNodes
	for i, a := range p.heads.arrays {
		w, first, second := adamW(a, scalars, heads.w[i], heads.first[i], heads.second[i], gradients[i])
		after.w, after.first, after.second = append(after.w, w), append(after.first, first), append(after.second, second)
	}
	return append(outputs, join(after.w, after.first, after.second)...)
}

// judgeHeads counts right answers. Inputs: classes [B], 1 or 0 for every image that counts or not [B], features
// [B, L, D], the heads' weights. Outputs: the images [L] whose class is the first, and is among the first five.
func (p *Probe) judgeHeads(nodes []*Node) []*Node {
	in := inputs{nodes}
	classes, valid, features := in.one(), in.one(), in.one()
	y := logits(features, in.one(), in.one()) // [L, B, K]
	class := Iota(y.Graph(), shapes.Make(dtypes.Int32, y.Shape().Dimensions...), 2)
	right := BroadcastToShape(Reshape(classes, 1, -1, 1), class.Shape())
	own := ReduceAndKeep(Where(Equal(class, right), y, ZerosLike(y)), ReduceSum, -1) // [L, B, 1]
	// A class stands before the right one unless it is known to stand behind: so what is not a number counts as wrong.
	behind := LogicalOr(LessThan(y, own), LogicalAnd(Equal(y, own), GreaterOrEqual(class, right)))
	before := ReduceSum(ConvertDType(LogicalNot(behind), dtypes.Float32), -1) // [L, B]
	among := func(first float64) *Node {
		hit := ConvertDType(LessThan(before, Scalar(y.Graph(), dtypes.Float32, first)), dtypes.Float32)
		return ReduceSum(Mul(hit, InsertAxes(valid, 0)), -1) // [L]
	}
	return []*Node{among(1), among(5)}
}
