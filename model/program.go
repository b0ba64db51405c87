package model

import (
	"errors"
	"fmt"
	"sync"

	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// programs are the compiled graphs of a step: one for every shape of its masks, whichever depths
// are sampled. A step is one program, or with micro-batches two: the gradients of a pass, and the
// update.
type programs struct {
	network
	stepExec            *graph.Exec
	gradExec, applyExec *graph.Exec
	copyExec            *graph.Exec // of the state, for a snapshot

	mu         sync.Mutex // guards the rest: programs of several shapes are compiled at once
	ready      map[programShape]bool
	seen       map[*graph.Graph]bool // by the inspection
	inspection Inspection
}

// Inspection counts what the programs of a learner consist of. GoMLX falls back from fast forms to
// slow ones without a message. On a GPU in bfloat16 there should be no product of float32, and
// attention should be fused in every block.
type Inspection struct {
	Programs       int            // compiled so far
	Products       map[string]int // matrix products, forward and backward, by operand type
	FusedAttention int            // forward attentions that are one call of the device's own
}

// Programs is the number of programs of the steps of so many mask shapes. With micro-batches all
// shapes share the program of the update.
func (c Config) Programs(shapes int) int {
	if c.passes() > 1 {
		return shapes + 1
	}
	return shapes
}

// inspect adds a graph to the inspection.
func (p *programs) inspect(g *graph.Graph) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen[g] {
		return // all shapes share the update
	}
	p.seen[g] = true
	p.inspection.Programs++
	for _, node := range g.Nodes() {
		switch node.Type() {
		case graph.NodeTypeDotGeneral:
			p.inspection.Products[node.Inputs()[0].DType().String()]++
		case graph.NodeTypeFusedScaledDotProductAttention:
			p.inspection.FusedAttention++
		}
	}
}

// free gives the programs back to the device.
func (p *programs) free() {
	for _, exec := range []*graph.Exec{p.stepExec, p.gradExec, p.applyExec, p.copyExec} {
		if exec != nil {
			exec.Finalize()
		}
	}
}

// programShape is what programs of one run differ in.
type programShape struct {
	context, target, blocks int
	floats                  bool // images are floats
}

func newPrograms(n network, d *Device) (*programs, error) {
	p := &programs{
		network: n, ready: map[programShape]bool{}, seen: map[*graph.Graph]bool{},
		inspection: Inspection{Products: map[string]int{}},
	}
	program := func(name string, build func([]*graph.Node) []*graph.Node) (*graph.Exec, error) {
		exec, err := graph.NewExec(d.backend, build)
		if err != nil {
			return nil, fmt.Errorf("making the program %s: %w", name, err)
		}
		return exec.WithName(name).SetMaxCache(-1), nil // official trimming has many shapes
	}
	var errs [4]error
	p.copyExec, errs[3] = program("copy", copyArrays)
	if n.passes() == 1 {
		p.stepExec, errs[0] = program("step", n.stepGraph)
	} else {
		p.gradExec, errs[1] = program("gradient", n.gradGraph)
		p.applyExec, errs[2] = program("update", n.applyGraph)
	}
	return p, errors.Join(errs[:]...)
}

// compile makes the programs of a shape, unless they are ready.
func (p *programs) compile(s programShape) (err error) {
	p.mu.Lock()
	ready := p.ready[s]
	p.mu.Unlock()
	if ready {
		return nil
	}
	doing := fmt.Sprintf("compiling the step for targets of %d and contexts of %d tokens", s.target, s.context)
	defer recovered(&err, doing)
	if n := p.tokens(); s.target < 1 || s.target > n || s.context < 1 || s.context > n {
		return fieldError("MaskShape", s, "must have lengths in 1..%d", n)
	}
	build := func(exec *graph.Exec, inputs []shapes.Shape) error {
		g, err := exec.Compile(inputs...)
		if err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
		p.inspect(g)
		return nil
	}
	if p.stepExec != nil {
		err = build(p.stepExec, p.stepShapes(s))
	} else {
		err = errors.Join(build(p.gradExec, p.gradShapes(s)), build(p.applyExec, p.applyShapes()))
	}
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.ready[s] = true
	p.mu.Unlock()
	return nil
}
