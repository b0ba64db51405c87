package mask

import (
	"math"

	"github.com/cijepa/cijepa/model/draw"
)

// pairing is a size of the target blocks with a size of the context rectangle.
type pairing struct {
	target, context size
	probability     float64
}

// pairings are those of the steps whose target blocks have the given number of cells. Their
// probabilities sum to 1.
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

// simulatedImages are placed for each target length: the standard error of a share of 0.7 % is
// 0.016 %, and it takes some hundredths of a second.
const simulatedImages = 1 << 18

// contextLengths estimates the distribution of the number of cells that the first draw of the
// blocks leaves of the context: [cells of the grid + 1]. The images simulated are a fixed
// sequence, so the estimate is the same on every machine.
func (m *Masker) contextLengths(pairings []pairing) []float64 {
	share := make([]float64, m.grid*m.grid+1)
	for _, p := range pairings {
		images := max(1, math.Round(simulatedImages*p.probability))
		placer := m.newPlacer(p.target, p.context)
		stream := draw.New(0, "mask lengths",
			uint64(p.target.h), uint64(p.target.w), uint64(p.context.h), uint64(p.context.w))
		for range int(images) {
			share[placer.place(stream, 0, false)] += p.probability / images
		}
	}
	return share
}
