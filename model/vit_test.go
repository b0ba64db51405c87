package model

import (
	"fmt"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/cijepa/cijepa/model/draw"
)

// Plain attention in bfloat16, and attention as one operation of the device, give the results and
// gradients of float32, at the lengths and widths of ViT-B/16. On a GPU the one operation is
// cuDNN's flash attention; the Go backend has it in float32.
func TestFormsOfAttention(t *testing.T) {
	d := testDevice(t)
	for _, k := range []struct{ tokens, heads, head, from int }{
		{196, 12, 64, 0}, {56, 12, 64, 0}, {48, 12, 64, 0}, {44, 12, 64, 0}, {40, 12, 64, 0}, {33, 12, 64, 0},
		{86, 12, 32, 0}, {83, 12, 32, 48}, {80, 12, 32, 44}, {80, 12, 32, 40}, {96, 12, 32, 0},
	} {
		t.Run(fmt.Sprintf("%d tokens", k.tokens), func(t *testing.T) {
			const sequences = 2
			width := k.heads * k.head
			stream := draw.New(1, "attention", uint64(k.tokens), uint64(k.head))
			values := func(dims ...int) *tensors.Tensor {
				x := tensors.FromShape(floatShape(dims...))
				if err := tensors.MutableFlatData(x, func(flat []float32) {
					for i := range flat {
						flat[i] = float32(stream.Normal())
					}
				}); err != nil {
					t.Fatal(err)
				}
				return x
			}
			qkv, upstream := values(sequences, k.tokens, 3*width), values(sequences, k.tokens-k.from, width)
			weight, bias := values(width, width), values(width)
			attend := func(dtype dtypes.DType, flash bool) (results [][]float64) {
				exec, err := graph.NewExec(d.backend, func(nodes []*graph.Node) []*graph.Node {
					qkv, upstream := nodes[0], nodes[1]
					arrays := []array{{name: "proj.weight", dims: []int{width, width}}, {name: "proj.bias", dims: []int{width}}}
					w := newParams(arrays, nodes[2:])
					n := network{matmulDType: dtype, flash: flash}
					positions := graph.Iota(qkv.Graph(), shapes.Make(dtypes.Int32, sequences, k.tokens), 1)
					rope := newRopeCosSin(qkv.Graph(), sequences, 14, width, k.heads, 10000, positions)
					y := n.attention(w, qkv, k.heads, rope, k.from)
					return append(graph.Gradient(graph.ReduceAllSum(graph.Mul(y, upstream)), qkv), y)
				})
				if err != nil {
					t.Fatal(err)
				}
				defer exec.Finalize()
				outputs, err := exec.Call(qkv, upstream, weight, bias)
				if err != nil {
					t.Fatalf("%+v, %s, as one operation %t: %v", k, dtype, flash, err)
				}
				for _, x := range outputs {
					results = append(results, doubles(t, x))
				}
				return results
			}
			want := attend(dtypes.Float32, false)
			one := Float32
			if (Config{Precision: BFloat16}).Fused(d.name) {
				one = BFloat16
			}
			for _, form := range []struct {
				precision string
				flash     bool
			}{{BFloat16, false}, {one, true}} {
				n := newNetwork(Config{Precision: form.precision}, d)
				got := attend(n.matmulDType, form.flash)
				var worst float64
				for i, what := range []string{"gradient", "attention"} {
					most := tolerance(d, form.precision)
					if i == 0 && form.precision == BFloat16 {
						most *= 2 // it has been through attention twice
					}
					name := fmt.Sprintf("%+v, %+v: %s", k, form, what)
					worst = max(worst, same(t, name, got[i], want[i], most))
				}
				t.Logf("%+v, %+v: worst difference %.2g", k, form, worst)
			}
		})
	}
}
