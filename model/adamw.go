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

// The scalars of a network's update. The host computes them: they change every step, and the
// program does not.
const (
	scalarDecay = iota // 1 - lr x decay
	scalarLR           // lr over the first moment's bias correction, 1 - beta1^t
	scalarRMS          // 1 over the root of the second moment's, sqrt(1 - beta2^t)
	adamWScalarCount
)

// adamWScalars are the scalars of an update, counted from 1.
func adamWScalars(lr, decay float64, update int64) [adamWScalarCount]float32 {
	t := float64(update)
	return [adamWScalarCount]float32{
		scalarDecay: float32(1 - lr*decay),
		scalarLR:    float32(lr / (1 - math.Pow(beta1, t))),
		scalarRMS:   float32(1 / math.Sqrt(1-math.Pow(beta2, t))),
	}
}

// adamW is one update of an array's parameters and moments m and v, with decoupled weight decay
// (Loshchilov and Hutter, arXiv 1711.05101), in PyTorch's order: decay first. The gradient has only
// the trained rows, and the other rows of params, m and v stay as they are. scalars are [3].
func adamW(a array, scalars, params, m, v, gradient *Node) (newParams, newM, newV *Node) {
	scalar := func(i int) *Node { return Reshape(Slice(scalars, AxisElem(i))) }
	trained := func(x *Node) *Node { return x }
	whole := func(_, now *Node) *Node { return now }
	if a.idle > 0 {
		used := a.rows - a.idle
		trained = func(x *Node) *Node { return Slice(x, AxisRange(0, used)) }
		whole = func(before, now *Node) *Node { return Concatenate([]*Node{now, Slice(before, AxisRange(used))}, 0) }
	}
	newM = Add(MulScalar(trained(m), beta1), MulScalar(gradient, 1-beta1))
	newV = Add(MulScalar(trained(v), beta2), MulScalar(Square(gradient), 1-beta2))
	newParams = trained(params)
	if a.kind == matrix {
		newParams = Mul(newParams, scalar(scalarDecay))
	}
	rms := AddScalar(Mul(Sqrt(newV), scalar(scalarRMS)), epsilon)
	newParams = Sub(newParams, Mul(Div(newM, rms), scalar(scalarLR)))
	return whole(params, newParams), whole(m, newM), whole(v, newV)
}

// emaScalarCount counts the scalars of the teacher's average: the momentum, and 1 minus it.
const emaScalarCount = 2

// ema is the teacher's exponential moving average over the updated student. The scalars are [2]:
// the momentum, and 1 minus it, which the host subtracts in float64.
func ema(scalars, teacher, student *Node) *Node {
	scalar := func(i int) *Node { return Reshape(Slice(scalars, AxisElem(i))) }
	return Add(Mul(teacher, scalar(0)), Mul(student, scalar(1)))
}
