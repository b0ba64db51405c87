package mask

import (
	"math"
	"slices"

	"github.com/cijepa/cijepa/model/draw"
)

const (
	maxGrid    = 64 // a row of cells is a word of bits
	maxTargets = 64
)

// size is the height and width of a block, in cells.
type size struct{ h, w int }

func (s size) cells() int { return s.h * s.w }

// positions are the numbers of tops and lefts that are drawn from. The last legal ones are left
// out: the upper bound of the official sampler's randint is exclusive, and so is every published
// result's.
func (s size) positions(grid int) size { return size{grid - s.h, grid - s.w} }

// corner draws a position.
func (s size) corner(stream *draw.Stream) corner {
	top := stream.IntN(s.h)
	return corner{top, stream.IntN(s.w)}
}

// blockSize is the size of a block for a uniform number u in [0, 1). Scale and aspect come from the
// same u, as in the official sampler. A side never spans the whole grid.
func blockSize(grid int, scale, aspect [2]float64, u float64) size {
	// The conversions forbid fused multiply-adds, which move the border of a size on some
	// processors.
	s := scale[0] + float64(u*(scale[1]-scale[0]))
	a := aspect[0] + float64(u*(aspect[1]-aspect[0]))
	cells := math.Trunc(float64(grid*grid) * s)
	side := func(length float64) int {
		return min(int(math.RoundToEven(length)), grid-1)
	}
	return size{h: side(math.Sqrt(cells * a)), w: side(math.Sqrt(cells / a))}
}

// sizeTable is blockSize as a table: the ranges of u in which the size is constant, ascending.
// Sizes come from this table, never from blockSize, so that every size drawn has a shape.
type sizeTable []sizeRange

type sizeRange struct {
	from, to float64 // u is in [from, to)
	size     size
}

// newSizeTable finds the ranges exactly: the size changes only at those u where one of its three
// roundings jumps.
func newSizeTable(grid int, scale, aspect [2]float64) sizeTable {
	borders := []float64{0, 1}
	border := func(at float64, bounds [2]float64) {
		if u := (at - bounds[0]) / (bounds[1] - bounds[0]); u > 0 && u < 1 { // false also where the range is one point
			borders = append(borders, u)
		}
	}
	n := float64(grid * grid)
	for cells := math.Floor(n * scale[0]); cells <= math.Ceil(n*scale[1]); cells++ {
		border(cells/n, scale)
		for side := 0.5; side < float64(grid); side++ {
			border(side*side/cells, aspect)   // sqrt(cells a) = side
			border(cells/(side*side), aspect) // sqrt(cells / a) = side
		}
	}
	slices.Sort(borders)
	var table sizeTable
	for i, to := range borders[1:] {
		from := borders[i]
		if to-from < 1e-12 { // one border, twice but for rounding
			continue
		}
		s := blockSize(grid, scale, aspect, from+(to-from)/2)
		if last := len(table) - 1; last >= 0 && table[last].size == s {
			table[last].to = to
			continue
		}
		if last := len(table) - 1; last >= 0 {
			from = table[last].to
		}
		table = append(table, sizeRange{from, to, s})
	}
	return table
}

// at is the size for a uniform number.
func (t sizeTable) at(u float64) size {
	for _, r := range t[:len(t)-1] {
		if u < r.to {
			return r.size
		}
	}
	return t[len(t)-1].size
}
