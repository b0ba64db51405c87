package mask

import (
	"math/bits"

	"github.com/cijepa/cijepa/model/draw"
)

// retriesBeforeRelaxing is the number of failures after which one more target block is ignored.
const retriesBeforeRelaxing = 20

// placer places the blocks of one image after another. The block sizes are those of one step.
type placer struct {
	grid             int
	target, context  size
	targetPositions  size // the numbers of tops and lefts to draw from
	contextPositions size
	corners          []corner // of the target blocks
	rows             []uint64 // the context: bit c of rows[r] is cell (r, c)
}

type corner struct{ top, left int }

func (m *Masker) newPlacer(target, context size) *placer {
	return &placer{
		grid: m.grid, target: target, context: context,
		targetPositions:  target.positions(m.grid),
		contextPositions: context.positions(m.grid),
		corners:          make([]corner, m.cfg.TargetBlocks),
		rows:             make([]uint64, m.grid),
	}
}

// place draws the blocks of an image until at least `need` cells of the context are left, and
// returns how many are. A failure draws the context again, and the targets too if `targetsToo`.
// After every 20 failures one more target block is not cut out of the context, the last one
// first, as in the official sampler.
func (p *placer) place(stream *draw.Stream, need int, targetsToo bool) int {
	for failures := 0; ; failures++ {
		if failures == 0 || targetsToo {
			for i := range p.corners {
				p.corners[i] = p.targetPositions.corner(stream)
			}
		}
		cutOut := max(0, len(p.corners)-failures/retriesBeforeRelaxing)
		if length := p.cut(p.contextPositions.corner(stream), p.corners[:cutOut]); length >= need {
			return length
		}
	}
}

// cut makes the context: its rectangle without the cells of the given targets. It returns the
// number of cells.
func (p *placer) cut(at corner, targets []corner) int {
	clear(p.rows)
	columns := (uint64(1)<<p.context.w - 1) << at.left
	for r := at.top; r < at.top+p.context.h; r++ {
		p.rows[r] = columns
	}
	for _, t := range targets {
		columns := (uint64(1)<<p.target.w - 1) << t.left
		for r := t.top; r < t.top+p.target.h; r++ {
			p.rows[r] &^= columns
		}
	}
	length := 0
	for _, row := range p.rows {
		length += bits.OnesCount64(row)
	}
	return length
}

// appendContext appends the first n cells of the context in raster order.
func (p *placer) appendContext(to []int32, n int) []int32 {
	for r, row := range p.rows {
		for ; row != 0; row &= row - 1 {
			if n == 0 {
				return to
			}
			to = append(to, int32(r*p.grid+bits.TrailingZeros64(row)))
			n--
		}
	}
	return to
}

// appendTargets appends the cells of each target block in raster order.
func (p *placer) appendTargets(to []int32) []int32 {
	for _, t := range p.corners {
		for r := t.top; r < t.top+p.target.h; r++ {
			for c := t.left; c < t.left+p.target.w; c++ {
				to = append(to, int32(r*p.grid+c))
			}
		}
	}
	return to
}
