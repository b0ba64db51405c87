package model

import (
	"math"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/layers/attention"
	"github.com/gomlx/gomlx/ml/nn"
)

// Shapes in the comments of all graph code:
//
//	B images (or sequences)   N tokens of the grid     T tokens of a sequence
//	C context tokens          M target blocks          K tokens of a target block
//	D width of the network    H attention heads        A = D/H width of a head
//	P width of a predictor    L collected depths       R source depths of a step

// The epsilons that norms add to a variance.
const (
	normEpsilon   = 1e-6 // of the blocks
	targetEpsilon = 1e-5 // of the targets: PyTorch's default
)

// The mean and the standard deviation of ImageNet's pixels, with which images are normalised.
const (
	redMean, greenMean, blueMean = .485, .456, .406
	redStd, greenStd, blueStd    = .229, .224, .225
)

// PixelMean and PixelStd are these, by channel, for pixels in 0..1.
var (
	PixelMean = [3]float64{redMean, greenMean, blueMean}
	PixelStd  = [3]float64{redStd, greenStd, blueStd}
)

// network builds the graphs of encoder and predictors.
type network struct {
	Config
	matmulDType dtypes.DType // of the operands of matrix products
	flash       bool         // attention is one call of the device's own
}

func newNetwork(c Config, d *Device) network {
	n := network{Config: c, matmulDType: dtypes.Float32, flash: c.Fused(d.name)}
	if c.Precision == BFloat16 {
		n.matmulDType = dtypes.BFloat16
	}
	return n
}

// patches cuts images into tokens [B, N, 3 patch patch], in the order of the kernel's weights:
// channel, row, column. Images are bytes [B, S, S, 3], which are normalised here with the mean and
// standard deviation of ImageNet, or already normalised floats.
func (n network) patches(images *Node) *Node {
	g, b, grid, p := images.Graph(), images.Shape().Dim(0), n.Grid(), n.Patch
	images.AssertDims(b, n.Image, n.Image, 3)
	if images.DType() == dtypes.Uint8 {
		mean := Const(g, [][][][]float32{{{{255 * redMean, 255 * greenMean, 255 * blueMean}}}})
		scale := Const(g, [][][][]float32{{{{1 / (255 * redStd), 1 / (255 * greenStd), 1 / (255 * blueStd)}}}})
		images = Mul(Sub(ConvertDType(images, dtypes.Float32), mean), scale)
	}
	x := Reshape(images, b, grid, p, grid, p, 3)
	x = TransposeAllAxes(x, 0, 1, 3, 5, 2, 4) // [B, grid, grid, 3, p, p]
	return Reshape(x, b, grid*grid, 3*p*p)
}

// encode runs tokens [B, T, 3 patch patch] at the given positions [B, T] of the grid (nil: all, in
// order) through the encoder. It returns the output of every block up to the deepest collected
// depth, [B, T, D] each.
func (n network) encode(w params, patches, positions *Node) []*Node {
	kernel := Reshape(w.get("patch_embed.proj.weight"), n.Width, -1)
	x := n.affine(patches, kernel, w.get("patch_embed.proj.bias")) // [B, T, D]
	rope := newRopeCosSin(x.Graph(), x.Shape().Dim(0), n.Grid(), n.Width, n.Heads, n.RopeTheta, positions)
	hidden := make([]*Node, n.deepest()+1)
	for i := range hidden {
		if n.Remat {
			x = x.Checkpoint()
		}
		block := w.in("blocks.%d", i)
		x = n.block(block, x, n.qkv(block, x, n.Heads), n.Heads, rope, 0)
		hidden[i] = x
		if n.Remat {
			// Otherwise rematerialisation would also compute the predictor on this exit again.
			hidden[i] = x.StopCheckpoint()
		}
	}
	return hidden
}

// block is a pre-norm transformer block on x [B, T, D], given its queries, keys and values. It
// returns the tokens from `from` on; those before serve as keys and values only.
func (n network) block(w params, x, qkv *Node, heads int, rope ropeCosSin, from int) *Node {
	x = n.roundGradient(Add(tokensFrom(x, from), n.attention(w.in("attn"), qkv, heads, rope, from)))
	weight, bias := folded(w.in("norm2"), w.in("mlp.fc1"))
	h := n.affine(layerNorm(x), weight, bias) // [B, T, 4D]
	return n.roundGradient(Add(x, n.linear(w.in("mlp.fc2"), gelu(h))))
}

// roundGradient is the identity on the residual stream. It rounds the stream's gradient to
// matmulDType, in which the matrix products of the backward pass take it anyway. Without the
// barrier XLA drops the rounding and writes the gradient in float32. Three more passes then read
// that: for a bf16 copy, for the gradient of a bias, and for the norm.
func (n network) roundGradient(x *Node) *Node {
	if n.matmulDType == dtypes.Float32 {
		return x
	}
	return IdentityWithCustomGradient(x, func(_, gradient *Node) *Node {
		return ConvertDType(OptimizationBarrier(ConvertDType(gradient, n.matmulDType)), dtypes.Float32)
	})
}

// qkv are the queries, keys and values of a block before the rotation, with the pairs first (see
// rope.go): x [B, T, D] -> [B, T, 3D].
func (n network) qkv(w params, x *Node, heads int) *Node {
	weight, bias := folded(w.in("norm1"), w.in("attn.qkv"))
	return n.affine(layerNorm(x), pairsFirst(weight, heads), pairsFirst(bias, heads))
}

// attention is self-attention on qkv [B, T, 3D], for the queries of the tokens from `from` on.
func (n network) attention(w params, qkv *Node, heads int, rope ropeCosSin, from int) *Node {
	b, t, width := qkv.Shape().Dim(0), qkv.Shape().Dim(1), qkv.Shape().Dim(2)/3
	head := width / heads
	part := func(i int) *Node { return Slice(qkv, AxisRange(), AxisRange(), AxisRange(i*width, (i+1)*width)) }
	u, v := part(0), part(1) // [B, T, D]: of queries, then of keys
	halves := []*Node{
		Reshape(Sub(Mul(u, rope.cos), Mul(v, rope.sin)), b, t, 2, heads, head/2),
		Reshape(Add(Mul(v, rope.cos), Mul(u, rope.sin)), b, t, 2, heads, head/2),
	}
	qk := ConvertDType(Concatenate(halves, -1), n.matmulDType) // [B, T, 2, H, A]
	q := Reshape(Slice(qk, AxisRange(), AxisRange(), AxisElem(0)), b, t, heads, head)
	k := Reshape(Slice(qk, AxisRange(), AxisRange(), AxisElem(1)), b, t, heads, head)
	values := Reshape(ConvertDType(part(2), n.matmulDType), b, t, heads, head)

	var y *Node
	if n.flash {
		y, _ = attention.Core(q, k, values, attention.LayoutBSHD, attention.CoreOptions{Scale: 1}) // [B, T, H, A]
		y = tokensFrom(y, from)
	} else {
		scores := dot(tokensFrom(q, from), k, []int{3}, []int{0, 2}, []int{3}, []int{0, 2}) // [B, H, T-from, T]
		shares := Softmax(ConvertDType(scores, dtypes.Float32), -1)
		shares = ConvertDType(shares, n.matmulDType)
		y = dot(shares, values, []int{3}, []int{0, 1}, []int{1}, []int{0, 2}) // [B, H, T-from, A]
		y = TransposeAllAxes(y, 0, 2, 1, 3)
	}
	return n.linear(w.in("proj"), Reshape(y, b, t-from, width))
}

// tokensFrom drops the tokens before `from`: [B, T, ...] -> [B, T-from, ...].
func tokensFrom(x *Node, from int) *Node {
	if from == 0 {
		return x
	}
	return Slice(x, AxisRange(), AxisRange(from))
}

// layerNorm normalises the features of float32 tokens [B, T, D]. The norm's gain and bias are
// folded into the next layer.
func layerNorm(x *Node) *Node {
	return nn.LayerNorm(x, []int{-1}, normEpsilon, nil, nil, nil) // fused on the Go backend
}

// folded are the weight [out, in] and bias [out] of a linear layer behind a norm with gain g and
// bias b, with the norm's parameters folded in: W (g x + b) + c = (W g) x + (W b + c). There are
// more tokens than weights, so this saves a pass over all tokens forward, and the sums over all
// tokens that are the gradients of g and b.
func folded(norm, layer params) (w, b *Node) {
	w = layer.get("weight")
	row := func(name string) *Node { return Reshape(norm.get(name), 1, -1) }
	shift := ReduceSum(Mul(w, row("bias")), 1)
	return Mul(w, row("weight")), Add(layer.get("bias"), shift)
}

// normalise gives every token of x [..., D] mean 0 and variance 1 over its features.
func normalise(x *Node, epsilon float64) *Node {
	x = Sub(x, ReduceAndKeep(x, ReduceMean, -1))
	variance := ReduceAndKeep(Square(x), ReduceMean, -1)
	return Mul(x, Reciprocal(Sqrt(AddScalar(variance, epsilon)))) // Rsqrt has no gradient in GoMLX
}

// linear is a layer with weight [out, in] and bias [out] on x [B, T, in].
func (n network) linear(w params, x *Node) *Node {
	return n.affine(x, w.get("weight"), w.get("bias"))
}

// affine is x w' + b in float32, with the product in matmulDType: x [B, T, in], w [out, in], b
// [out] -> [B, T, out]. The bias is added in float32, because the gradient of its broadcast is a
// sum over all tokens.
func (n network) affine(x, w, b *Node) *Node {
	if n.matmulDType == dtypes.Float32 {
		return nn.Dense(x, w, b, compute.DenseLayoutOutputsInput) // fused on the Go backend
	}
	y := dot(ConvertDType(x, n.matmulDType), ConvertDType(w, n.matmulDType), []int{2}, nil, []int{1}, nil)
	return Add(ConvertDType(y, dtypes.Float32), Reshape(b, 1, 1, -1))
}

// dot is a general product without the accumulator type that GoMLX sets for bfloat16, which would
// make the products of the backward pass float32. Devices accumulate in float32 all the same.
func dot(a, b *Node, aContract, aBatch, bContract, bBatch []int) *Node {
	return Dot(a, b).WithAccumulatorDType(dtypes.InvalidDType).General(aContract, aBatch, bContract, bBatch)
}

// gelu is the exact GELU, x Phi(x).
func gelu(x *Node) *Node {
	return Mul(x, MulScalar(AddScalar(Erf(MulScalar(x, 1/math.Sqrt2)), 1), 0.5))
}

// gatherTokens picks tokens x[b, positions[b, i]]: x [B, N, D], positions [B, K] -> [B, K, D].
func gatherTokens(x, positions *Node) *Node {
	b, k := positions.Shape().Dim(0), positions.Shape().Dim(1)
	image := Iota(x.Graph(), shapes.Make(dtypes.Int32, b, k, 1), 0)
	return Gather(x, Concatenate([]*Node{image, InsertAxes(positions, -1)}, -1))
}
