package model

import (
	"math"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// Rotary position embeddings, two-dimensional and axial (the layout of timm's RotaryEmbeddingCat).
// The first half of a head of width A is rotated by the row of its token in the full grid, the
// second half by the column. A half has A/4 frequencies theta^(-4i/A), and frequency i rotates the
// adjacent channels (u, v) = (2i, 2i+1) of its half into (u cos - v sin, v cos + u sin).
//
// So a head is A/2 pairs, each with an angle of its own. Inside the programs the channels of
// queries and keys lie with the u of all pairs first, then the v of all pairs: products of queries
// and keys do not depend on the order, and the rotation needs no shuffle of activations. Weights
// are stored in the order above.

// ropeAngles are the angles of all pairs: [N, A/2].
func ropeAngles(grid, head int, theta float64) []float64 {
	angles := make([]float64, 0, grid*grid*head/2)
	for token := range grid * grid {
		for _, position := range [2]int{token / grid, token % grid} {
			for i := range head / 4 {
				angles = append(angles, float64(position)*math.Pow(theta, -4*float64(i)/float64(head)))
			}
		}
	}
	return angles
}

// ropeCosSin are the factors that rotate the queries and keys of sequences of tokens.
type ropeCosSin struct {
	cos, sin *Node // [B or 1, T, D]: queries of all heads, then keys of all heads, A/2 pairs each
}

// newRopeCosSin builds the factors for sequences [B, T, D] whose tokens are at the given positions
// [B, T] of the grid; nil: at all N in order. The factors of the queries carry the scale of the
// scores, 1/sqrt(A). They are as large as the queries and keys, because the Go backend is fast at
// products of equal shapes, and XLA makes no copies of them.
func newRopeCosSin(g *Graph, b, grid, width, heads int, theta float64, positions *Node) ropeCosSin {
	head := width / heads
	angles := ropeAngles(grid, head, theta)
	factor := func(f func(float64) float64) *Node {
		table := make([]float32, len(angles))
		for i, a := range angles {
			table[i] = float32(f(a))
		}
		x := ConstTensor(g, tensors.FromFlatDataAndDimensions(table, grid*grid, head/2)) // [N, A/2]
		if positions == nil {
			x = InsertAxes(x, 0) // [1, N, A/2]
		} else {
			x = Gather(x, InsertAxes(positions, -1)) // [B, T, A/2]
		}
		images, t := x.Shape().Dim(0), x.Shape().Dim(1)
		x = Concatenate([]*Node{MulScalar(x, 1/math.Sqrt(float64(head))), x}, -1)             // [B, T, 2 A/2]
		x = BroadcastToDims(Reshape(x, images, t, 2, 1, head/2), images, t, 2, heads, head/2) // [B, T, 2, H, A/2]
		return BroadcastToDims(Reshape(x, images, t, width), b, t, width)                     // [B, T, D]
	}
	return ropeCosSin{factor(math.Cos), factor(math.Sin)}
}

// pairsFirst puts the rows of a stored qkv weight [3D, ...] or bias [3D] into the order of the
// programs: the u of queries and keys, their v, then the values as they are.
func pairsFirst(w *Node, heads int) *Node {
	width := w.Shape().Dim(0) / 3
	rest := w.Shape().Dimensions[1:]
	pairs := Reshape(Slice(w, AxisRange(0, 2*width)), append([]int{2 * width / 2, 2}, rest...)...) // [2 H A/2, 2, ...]
	order := []int{1, 0, 2}[:pairs.Rank()]
	pairs = Reshape(TransposeAllAxes(pairs, order...), append([]int{2 * width}, rest...)...)
	return Concatenate([]*Node{pairs, Slice(w, AxisRange(2*width, 3*width))}, 0)
}
