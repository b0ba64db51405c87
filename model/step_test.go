package model

import (
	"math"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
)

// nodes are those of the graph of a step, or with micro-batches of a pass.
func nodes(t *testing.T, c Config) []*graph.Node {
	t.Helper()
	d := testDevice(t)
	p, err := newPrograms(newNetwork(c, d), d)
	if err != nil {
		t.Fatal(err)
	}
	s := programShape{context: 6, target: 3, blocks: c.Masks.TargetBlocks}
	exec, inputs := p.stepExec, p.stepShapes(s)
	if exec == nil {
		exec, inputs = p.gradExec, p.gradShapes(s)
	}
	g, err := exec.Compile(inputs...)
	if err != nil {
		t.Fatal(err)
	}
	return g.Nodes()
}

// In bf16 every matrix product, forward and backward, has bf16 operands. Every sum, mean, maximum,
// exponential and root, and all that enters the state, is float32.
func TestPrecisionInTheGraph(t *testing.T) {
	c := tiny()
	for precision, want := range map[string]dtypes.DType{BFloat16: dtypes.BFloat16, Float32: dtypes.Float32} {
		c.Precision = precision
		counts := map[graph.NodeType]int{}
		for _, node := range nodes(t, c) {
			switch kind := node.Type(); kind {
			case graph.NodeTypeDotGeneral:
				counts[kind]++
				for _, operand := range node.Inputs() {
					if operand.DType() != want {
						t.Errorf("%s: a product takes %s", precision, operand.Shape())
					}
				}
			case graph.NodeTypeReduceSum, graph.NodeTypeReduceMax, graph.NodeTypeExp, graph.NodeTypeErf, graph.NodeTypeSqrt,
				graph.NodeTypeFusedSoftmax:
				counts[kind]++
				for _, operand := range node.Inputs() {
					if operand.DType() != dtypes.Float32 {
						t.Errorf("%s: %s of %s", precision, kind, operand.Shape())
					}
				}
			}
		}
		for _, kind := range []graph.NodeType{graph.NodeTypeDotGeneral, graph.NodeTypeReduceSum, graph.NodeTypeExp, graph.NodeTypeErf} {
			if counts[kind] == 0 {
				t.Errorf("%s: the step has no %s", precision, kind)
			}
		}
		l := newTestLearner(t, c)
		if err := l.Compile(tinyLengths[0]); err != nil {
			t.Fatal(err)
		}
		got := l.Inspect()
		if got.Programs != 1 || len(got.Products) != 1 || got.Products[want.String()] != counts[graph.NodeTypeDotGeneral] {
			t.Errorf("%s: the learner tells of %+v", precision, got)
		}
		t.Logf("%s: %v", precision, counts)
	}
}

// Over 50 steps the loss in bf16 stays within 2 % of that in float32.
func TestBFloat16TrainsAsFloat32(t *testing.T) {
	c := tiny()
	c.Batch = 8
	wide := newTestLearner(t, c)
	c.Precision = BFloat16
	bf16 := newTestLearner(t, c)
	var first, last, worst float64
	for step := range int64(50) {
		// The same images all along, so that there is something to learn.
		want, got := stepInput(t, wide, 0), stepInput(t, bf16, 0)
		want.Sources = SampleDepths(c.Depths, c.IntermediateRows, 7, step)
		got.Sources = want.Sources
		want.LR, got.LR = 5e-3, 5e-3
		a, b := take(t, wide, want), take(t, bf16, got)
		difference := math.Abs(b.Loss/a.Loss - 1)
		if worst = max(worst, difference); difference > 0.02 {
			t.Errorf("step %d: loss %g in bf16, %g in float32", step, b.Loss, a.Loss)
		}
		if last = a.Loss; step == 0 {
			first = a.Loss
		}
	}
	if !(last < 0.8*first) {
		t.Errorf("the loss went from %g to %g: nothing was learnt, so nothing compared", first, last)
	}
	t.Logf("loss %.4f to %.4f; bf16 at most %.2g away", first, last, worst)
}

// Activation checkpointing makes the program larger: there are barriers before and after every
// trained block, and its inside occurs once more. (Equal nodes of the graph are one in the
// program.)
func TestRematComputesBlocksAgain(t *testing.T) {
	count := func(c Config) (gelus, barriers int) {
		for _, node := range nodes(t, c) {
			switch node.Type() {
			case graph.NodeTypeErf:
				gelus++
			case graph.NodeTypeOptimizationBarrier:
				barriers++
			}
		}
		return gelus, barriers
	}
	c := tiny()
	plain, none := count(c)
	c.Remat = true
	again, barriers := count(c)
	trained := c.Depth + c.Slots()*c.PredictorDepth // blocks with a gradient; the teacher has none
	if none != 0 || barriers < trained || again < plain+trained {
		t.Errorf("%d GELUs and %d barriers, with rematerialisation %d and %d; want %d more of both", plain, none, again, barriers, trained)
	}
}

// What a pass stores scales with its micro-batch, as the hidden layers of the MLPs show.
func TestMicroBatchesKeepLess(t *testing.T) {
	inside := func(micro int) (elements int) {
		c := tiny()
		c.MicroBatch = micro
		for _, node := range nodes(t, c) {
			if node.Type() == graph.NodeTypeErf {
				elements += node.Shape().Size()
			}
		}
		return elements
	}
	whole := inside(0)
	for _, micro := range []int{1, 2} {
		if got, want := inside(micro), whole*micro/tiny().Batch; got != want {
			t.Errorf("micro-batches of %d keep %d elements inside MLPs, want %d of %d", micro, got, want, whole)
		}
	}
}
