package model

import (
	"math"

	. "github.com/gomlx/gomlx/core/graph"
)

// AdamW's constants, PyTorch's defaults.
const (
	beta1   = 0.9
	beta2   = 0.999
	epsilon = 1e-8
)

// The scalars of a group's update, computed on the host: they change every step, the program does not.
const (
	scalarDecay = iota // 1 - rate x decay
	scalarLR           // rate over the first moment's bias correction, 1 - beta1^t
	scalarRMS          // 1 over the root of the second moment's, sqrt(1 - beta2^t)
	adamWScalarCount
)

// adamWScalars are the scalars of the update-th update of a group, counted from 1.
func adamWScalars(rate, decay float64, update int64) [adamWScalarCount]float32 {
	t := float64(update)
	return [adamWScalarCount]float32{
		scalarDecay: float32(1 - rate*decay),
		scalarLR:    float32(rate / (1 - math.Pow(beta1, t))),
		scalarRMS:   float32(1 / math.Sqrt(1-math.Pow(beta2, t))),
	}
}

// adamW is one update of an array with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), in the order of
// PyTorch's: decay first. w, first and second are alike in shape; the gradient may have fewer rows, and the other rows of
// w, first and second stay as they are. The scalars are a group's [3].
func adamW(a array, scalars, w, first, second, gradient *Node) (w1, first1, second1 *Node) {
	scalar := func(i int) *Node { return Reshape(Slice(scalars, AxisElem(i))) }
	trained := func(x *Node) *Node { return x }
	whole := func(_, now *Node) *Node { return now }
	if a.idle > 0 {
		used := a.rows - a.idle
		trained = func(x *Node) *Node { return Slice(x, AxisRange(0, used)) }
		whole = func(before, now *Node) *Node { return Concatenate([]*Node{now, Slice(before, AxisRange(used))}, 0) }
	}
	m := Add(MulScalar(trained(first), beta1), MulScalar(gradient, 1-beta1))
	v := Add(MulScalar(trained(second), beta2), MulScalar(Square(gradient), 1-beta2))
	now := trained(w)
	if a.kind == matrix {
		now = Mul(now, scalar(scalarDecay))
	}
	deviation := AddScalar(Mul(Sqrt(v), scalar(scalarRMS)), epsilon)
	now = Sub(now, Mul(Div(m, deviation), scalar(scalarLR)))
	return whole(w, now), whole(first, m), whole(second, v)
}

// emaScalarCount are the momentum of the teacher's average and 1 minus it.
const emaScalarCount = 2

// ema is the teacher's exponential moving average over the updated student. The weights are [2]: the momentum and
// 1 minus it, taken apart on the host in float64.
func ema(weights, teacher, student *Node) *Node {
	return Add(Mul(teacher, Reshape(Slice(weights, AxisElem(0)))), Mul(student, Reshape(Slice(weights, AxisElem(1)))))
}
