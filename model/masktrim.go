package model

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/cijepa/cijepa/model/draw"
)

// The fixed trimming's rule: a context length is the largest multiple of lengthUnit that at least enoughImages of the
// images reach. On I-JEPA's grid of 14x14 it keeps the published task: a mean context of 50 cells, which is what the
// official trimming over groups of 128 images gives (50.2).
const (
	lengthUnit   = 4
	enoughImages = 0.993
)

// leastImages is the share of images that must keep a context with the blocks drawn first; below it the sampler would
// have to ignore targets, and show the student what it is to predict.
const leastImages = 0.25

// newShapes computes the shape of each target length with its probability.
func (m *Masker) newShapes() ([]MaskShape, error) {
	var shapes []MaskShape
	for _, r := range m.target {
		target := r.size.cells()
		if target == 0 {
			return nil, &FieldError{"Masks.TargetScale", m.cfg.TargetScale,
				fmt.Sprintf("must give a target block a cell on the grid of %dx%d", m.grid, m.grid)}
		}
		i := slices.IndexFunc(shapes, func(s MaskShape) bool { return s.Target == target })
		if i < 0 {
			i = len(shapes)
			shapes = append(shapes, MaskShape{Target: target})
		}
		shapes[i].Probability += r.to - r.from
	}
	slices.SortFunc(shapes, func(a, b MaskShape) int { return a.Target - b.Target })
	for i := range shapes {
		length, err := m.trimLength(shapes[i].Target)
		if err != nil {
			return nil, err
		}
		shapes[i].Context = length
	}
	return shapes, nil
}

// trimLength applies the rule to the steps whose target blocks have the given number of cells.
func (m *Masker) trimLength(target int) (int, error) {
	share := make([]float64, m.grid*m.grid+1) // share[n] of the images have a context of n cells
	var total float64
	for _, t := range m.target {
		if t.size.cells() != target {
			continue
		}
		for _, c := range m.context {
			weight := (t.to - t.from) * (c.to - c.from)
			total += weight
			for n, s := range m.contextLengths(t.size, c.size) {
				share[n] += weight * s
			}
		}
	}
	// Images with fewer than MinContext cells are drawn again, so the others are all the images there are.
	kept := 0.0
	for _, s := range share[min(m.cfg.MinContext, len(share)):] {
		kept += s / total
	}
	if kept < leastImages {
		return 0, &FieldError{"Masks.MinContext", m.cfg.MinContext, fmt.Sprintf(
			"must leave a context on the grid of %dx%d: beside %d targets of %d cells only %.2g %% of images keep so many cells",
			m.grid, m.grid, m.cfg.TargetBlocks, target, 100*kept)}
	}
	length := m.cfg.MinContext / lengthUnit * lengthUnit
	reached := 0.0
	for n := len(share) - 1; n > m.cfg.MinContext; n-- {
		reached += share[n] / total / kept
		if n%lengthUnit == 0 && reached >= enoughImages {
			length = n
			break
		}
	}
	if length == 0 {
		return 0, &FieldError{"Masks.MinContext", m.cfg.MinContext, fmt.Sprintf(
			"must leave a context on the grid of %dx%d: beside targets of %d cells too few images keep %d cells",
			m.grid, m.grid, target, lengthUnit)}
	}
	return length, nil
}

// contextLengths gives the share of images by the length of the context that their first blocks leave: [cells of the grid + 1].
func (m *Masker) contextLengths(target, context size) []float64 {
	e := m.newEnumeration(target, context)
	if e == nil {
		return m.simulate(target, context)
	}
	return e.run()
}

// simulate estimates the shares from a fixed sequence of images, so that they are the same everywhere.
func (m *Masker) simulate(target, context size) []float64 {
	const images = 1 << 18 // the standard error of a share of 0.7 % is 0.016 %
	p := m.newPlacer(target, context)
	shares := make([]float64, m.grid*m.grid+1)
	stream := draw.New(0, "mask lengths", uint64(target.h), uint64(target.w), uint64(context.h), uint64(context.w))
	for range images {
		shares[p.place(stream, 0, false)] += 1. / images
	}
	return shares
}

// cells is a set of cells of a grid of up to 16x16.
type cells [4]uint64

func rectangle(grid int, at corner, s size) (set cells) {
	for r := at.top; r < at.top+s.h; r++ {
		for c := at.left; c < at.left+s.w; c++ {
			i := r*grid + c
			set[i/64] |= 1 << (i % 64)
		}
	}
	return set
}

// enumeration counts the context lengths over all placements: blocks are alike, so that it visits the multisets of
// target places and weighs each by the number of its orders.
type enumeration struct {
	contexts, targets []cells // at all their places
	blocks            int
	counts            []float64 // by length; whole numbers
}

// newEnumeration returns nil where there is too much to visit.
func (m *Masker) newEnumeration(target, context size) *enumeration {
	if m.grid > 16 {
		return nil
	}
	places := func(s size) (all []cells) {
		n := s.places(m.grid, m.cfg.LastPlace)
		for top := range n.h {
			for left := range n.w {
				all = append(all, rectangle(m.grid, corner{top, left}, s))
			}
		}
		return all
	}
	e := &enumeration{contexts: places(context), targets: places(target), blocks: m.cfg.TargetBlocks, counts: make([]float64, m.grid*m.grid+1)}
	visits := float64(len(e.contexts)) // times the multisets: the binomial of (places + blocks - 1) over blocks
	for i := range e.blocks {
		visits *= float64(len(e.targets)+i) / float64(i+1)
	}
	if visits > 2e7 {
		return nil
	}
	return e
}

func (e *enumeration) run() []float64 {
	for _, context := range e.contexts {
		e.visit(context, 1, 0, 0, 1)
	}
	total := 0.0
	for _, n := range e.counts {
		total += n
	}
	for i := range e.counts {
		e.counts[i] /= total
	}
	return e.counts
}

// visit places the block-th target (counted from 1) at each place from `from` on, `from` being the place of the one before
// it, which `run` targets have already. left is what they leave of the context, weight the number of their orders.
func (e *enumeration) visit(left cells, block, from, run int, weight float64) {
	for i := from; i < len(e.targets); i++ {
		if i > from {
			run = 0
		}
		run++
		t := &e.targets[i]
		rest := cells{left[0] &^ t[0], left[1] &^ t[1], left[2] &^ t[2], left[3] &^ t[3]}
		orders := weight * float64(block) / float64(run)
		if block < e.blocks {
			e.visit(rest, block+1, i, run, orders)
			continue
		}
		length := bits.OnesCount64(rest[0]) + bits.OnesCount64(rest[1]) + bits.OnesCount64(rest[2]) + bits.OnesCount64(rest[3])
		e.counts[length] += orders
	}
}
