package mask

import (
	"fmt"
	"slices"
)

// The rule of fixed trimming: a context length is the largest multiple of lengthUnit that at least
// the share enoughImages of the images reach. On I-JEPA's grid of 14x14 it keeps the published
// task: the mean context is 50 cells, and official trimming over groups of 128 images gives 50.2.
const (
	lengthUnit   = 4
	enoughImages = 0.993
)

// leastImages is the share of images whose first draw must keep a context. Below it the sampler
// would ignore targets too often, and show the student what it is to predict.
const leastImages = 0.25

// newShapes computes the shape of each target length with its probability.
func (m *Masker) newShapes() ([]Shape, error) {
	var shapes []Shape
	for _, r := range m.target {
		target := r.size.cells()
		if target == 0 {
			return nil, &FieldError{"Masks.TargetScale", m.cfg.TargetScale,
				fmt.Sprintf("must give a target block a cell on the grid of %dx%d", m.grid, m.grid)}
		}
		i := slices.IndexFunc(shapes, func(s Shape) bool { return s.Target == target })
		if i < 0 {
			i = len(shapes)
			shapes = append(shapes, Shape{Target: target})
		}
		shapes[i].Probability += r.to - r.from
	}
	slices.SortFunc(shapes, func(a, b Shape) int { return a.Target - b.Target })
	for i := range shapes {
		length, err := m.trimLength(shapes[i].Target)
		if err != nil {
			return nil, err
		}
		shapes[i].Context = length
	}
	// A context that ignores all targets must be long enough, or Draw would never end.
	for _, r := range m.context {
		for _, s := range shapes {
			if need := max(m.cfg.MinContext, s.Context); r.size.cells() < need {
				return nil, &FieldError{"Masks.ContextScale", m.cfg.ContextScale, fmt.Sprintf(
					"must give every context rectangle the %d cells that a context keeps on the grid of %dx%d",
					need, m.grid, m.grid)}
			}
		}
	}
	return shapes, nil
}

// trimLength applies the rule to the steps whose target blocks have the given number of cells.
func (m *Masker) trimLength(target int) (int, error) {
	share := m.contextLengths(m.pairings(target))
	// Images with fewer than MinContext cells are drawn again, so the distribution is over the
	// others.
	kept := 0.0
	for _, s := range share[min(m.cfg.MinContext, len(share)):] {
		kept += s
	}
	if kept < leastImages {
		return 0, &FieldError{"Masks.MinContext", m.cfg.MinContext, fmt.Sprintf(
			"must leave a context on the grid of %dx%d: beside %d targets of %d cells only %.2g %% of images keep so many cells",
			m.grid, m.grid, m.cfg.TargetBlocks, target, 100*kept)}
	}
	length := m.cfg.MinContext / lengthUnit * lengthUnit
	reached := 0.0
	for n := len(share) - 1; n > m.cfg.MinContext; n-- {
		reached += share[n] / kept
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
