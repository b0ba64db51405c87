package mask

import (
	"math"
	"math/bits"

	"github.com/cijepa/cijepa/model/draw"
)

// pairing is a size of the target blocks with a size of the context rectangle.
type pairing struct {
	target, context size
	probability     float64
}

// pairings are those of the steps whose target blocks have the given number of cells; their probabilities sum to 1.
func (m *Masker) pairings(target int) (list []pairing) {
	total := 0.0
	for _, t := range m.target {
		for _, c := range m.context {
			if t.size.cells() == target {
				list = append(list, pairing{t.size, c.size, (t.to - t.from) * (c.to - c.from)})
				total += list[len(list)-1].probability
			}
		}
	}
	for i := range list {
		list[i].probability /= total
	}
	return list
}

// What finding the context lengths of one target length may cost: a few tenths of a second either way.
const (
	maxVisits = 5e7     // of the enumeration
	simulated = 1 << 18 // images; the standard error of a share of 0.7 % is 0.016 %
)

// contextLengths gives the share of images by the number of cells that the blocks drawn first leave of the context:
// [cells of the grid + 1]. It is exact, by enumeration, for I-JEPA's blocks on grids up to 16x16; where there are too many
// placements it counts a fixed sequence of images, so that it is the same everywhere.
func (m *Masker) contextLengths(pairings []pairing) []float64 {
	share := make([]float64, m.grid*m.grid+1)
	visits := 0.0
	for _, p := range pairings {
		visits += m.visits(p)
	}
	for _, p := range pairings {
		if visits <= maxVisits {
			m.enumerate(p, share)
		} else {
			m.simulate(p, share)
		}
	}
	return share
}

// simulate adds an estimate of a pairing's shares.
func (m *Masker) simulate(p pairing, share []float64) {
	images := max(1, math.Round(simulated*p.probability))
	placer := m.newPlacer(p.target, p.context)
	stream := draw.New(0, "mask lengths", uint64(p.target.h), uint64(p.target.w), uint64(p.context.h), uint64(p.context.w))
	for range int(images) {
		share[placer.place(stream, 0, false)] += p.probability / images
	}
}

// visits is the number of placements that enumerate visits. Blocks are alike, so these are the multisets of target
// places, for each place of the context.
func (m *Masker) visits(p pairing) float64 {
	if m.grid > 16 { // more cells than the set holds
		return math.Inf(1)
	}
	targets, contexts := p.target.places(m.grid, m.cfg.LastPlace), p.context.places(m.grid, m.cfg.LastPlace)
	visits := float64(contexts.cells())
	for i := range m.cfg.TargetBlocks { // the binomial coefficient of places + blocks - 1 over blocks
		visits *= float64(targets.cells()+i) / float64(i+1)
	}
	return visits
}

// enumerate adds a pairing's exact shares.
func (m *Masker) enumerate(p pairing, share []float64) {
	places := func(s size) (all []cellSet) {
		n := s.places(m.grid, m.cfg.LastPlace)
		for top := range n.h {
			for left := range n.w {
				all = append(all, rectangle(m.grid, corner{top, left}, s))
			}
		}
		return all
	}
	contexts := places(p.context)
	e := enumeration{targets: places(p.target), blocks: m.cfg.TargetBlocks, share: share}
	// Every ordered placement is as probable as any other.
	each := p.probability / float64(len(contexts)) / math.Pow(float64(len(e.targets)), float64(e.blocks))
	for _, context := range contexts {
		e.visit(context, 1, 0, 0, each)
	}
}

// enumeration walks over the multisets of target places.
type enumeration struct {
	targets []cellSet // a block at each place
	blocks  int
	share   []float64
}

// visit places the block-th target (counted from 1) at each place from `from` on, `from` being the place of the one before
// it, which `run` targets have already. left is what those before it leave of the context, probability that of the
// multiset so far.
func (e *enumeration) visit(left cellSet, block, from, run int, probability float64) {
	for i := from; i < len(e.targets); i++ {
		if i > from {
			run = 0
		}
		run++
		t := &e.targets[i]
		rest := cellSet{left[0] &^ t[0], left[1] &^ t[1], left[2] &^ t[2], left[3] &^ t[3]}
		orders := probability * float64(block) / float64(run) // a multiset has block!/(run! ...) orders
		if block < e.blocks {
			e.visit(rest, block+1, i, run, orders)
			continue
		}
		e.share[bits.OnesCount64(rest[0])+bits.OnesCount64(rest[1])+bits.OnesCount64(rest[2])+bits.OnesCount64(rest[3])] += orders
	}
}

// cellSet is a set of cells of a grid of up to 16x16.
type cellSet [4]uint64

func rectangle(grid int, at corner, s size) (set cellSet) {
	for r := at.top; r < at.top+s.h; r++ {
		for c := at.left; c < at.left+s.w; c++ {
			i := r*grid + c
			set[i/64] |= 1 << (i % 64)
		}
	}
	return set
}
