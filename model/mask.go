package model

import (
	"fmt"
	"math/bits"

	"github.com/cijepa/cijepa/model/draw"
)

// MaskConfig says how context and target blocks are drawn: I-JEPA's multi-block masking (paper A.1; official code,
// src/masks/multiblock.py; model/reference/METHOD.md, section 3). Scales are shares of the grid's cells, aspects are height
// over width, both [low, high].
type MaskConfig struct {
	ContextScale [2]float64 // of the context rectangle, whose aspect is 1
	TargetScale  [2]float64 // of each target block
	TargetAspect [2]float64
	TargetBlocks int    // target blocks of an image; they may overlap each other, never the context
	MinContext   int    // a context must keep so many cells after the targets are cut out of it
	LastPlace    bool   // also draw the last legal place of a block, which the official sampler never does
	Trim         string // TrimFixed or TrimOfficial
}

// How the contexts of a step get one length. Both keep the first cells in raster order.
const (
	// TrimFixed gives every target length a context length of its own, reached by nearly all images; the blocks of an
	// image that does not reach it are drawn again. So the shapes of a run are few, and known ahead.
	TrimFixed = "fixed"
	// TrimOfficial cuts to the shortest context of a group of 128 images, the official code's batch of one device.
	TrimOfficial = "official"
)

// officialGroup is the number of images that the official code collates, and so trims, together.
const officialGroup = 128

// patience is the number of failures after which one more target block is ignored.
const patience = 20

// DefaultMasks are the settings of every published I-JEPA run, with fixed trimming.
func DefaultMasks() MaskConfig {
	return MaskConfig{
		ContextScale: [2]float64{0.85, 1},
		TargetScale:  [2]float64{0.15, 0.2},
		TargetAspect: [2]float64{0.75, 1.5},
		TargetBlocks: 4,
		MinContext:   11,
		Trim:         TrimFixed,
	}
}

// Masks are the cells that the student sees and those that it predicts, for the B images of a step: ascending flat
// indices row*grid + column.
type Masks struct {
	B, C, M, K int     // images, context cells, target blocks of an image, cells of a target block
	Context    []int32 // [B, C]
	Targets    []int32 // [B, M, K]
}

// MaskShape is a pair of lengths that a step can have.
type MaskShape struct {
	Target, Context int     // cells of a target block and of the context
	Probability     float64 // of a step having it
}

// Masker draws the masks of a run. It is immutable, so safe for concurrent use.
type Masker struct {
	grid    int
	cfg     MaskConfig
	target  sizeTable   // the size of a target block by its uniform number
	context sizeTable   // the size of the context rectangle by its own
	shapes  []MaskShape // one per target length, ascending
}

// Masker is the Masker of the grid and the masks of a configuration.
func (c Config) Masker() (*Masker, error) { return NewMasker(c.Grid(), c.Masks) }

// NewMasker checks the settings against a grid of grid x grid cells and computes the table of context lengths. It fails
// on settings outside their ranges and where no context would be left beside the targets.
func NewMasker(grid int, cfg MaskConfig) (*Masker, error) {
	if err := cfg.validate(grid); err != nil {
		return nil, err
	}
	m := &Masker{
		grid: grid, cfg: cfg,
		target:  newSizeTable(grid, cfg.TargetScale, cfg.TargetAspect),
		context: newSizeTable(grid, cfg.ContextScale, [2]float64{1, 1}),
	}
	shapes, err := m.newShapes()
	if err != nil {
		return nil, err
	}
	m.shapes = shapes
	return m, nil
}

// Shapes lists the shapes that steps have, one per target length, ascending. With official trimming the context length
// varies from step to step about the one listed.
func (m *Masker) Shapes() []MaskShape {
	return append([]MaskShape(nil), m.shapes...)
}

// Draw returns the masks of a step. Block sizes depend on (seed, step) and are shared by all images; where the blocks of
// an image lie depends on (seed, step, image index) alone, however the step is cut into micro-batches. With official
// trimming the first group of 128 images sets the length, and an image of another group that is shorter is drawn again.
func (m *Masker) Draw(seed uint64, step int64, batch int) Masks {
	sizes := draw.New(seed, "mask size", uint64(step))
	p := m.newPlacer(m.target.at(sizes.Float64()), m.context.at(sizes.Float64()))
	masks := Masks{B: batch, C: m.contextLength(p.target.cells()), M: m.cfg.TargetBlocks, K: p.target.cells()}
	group := 0 // images that set the length instead of heeding it
	if m.cfg.Trim == TrimOfficial {
		group = min(batch, officialGroup)
		masks.C = m.grid * m.grid
		for image := range group {
			masks.C = min(masks.C, p.place(maskStream(seed, step, image), m.cfg.MinContext, false))
		}
	}
	masks.Context = make([]int32, 0, batch*masks.C)
	masks.Targets = make([]int32, 0, batch*masks.M*masks.K)
	for image := range batch {
		if image < group {
			p.place(maskStream(seed, step, image), m.cfg.MinContext, false)
		} else {
			p.place(maskStream(seed, step, image), max(m.cfg.MinContext, masks.C), true)
		}
		masks.Context = p.appendContext(masks.Context, masks.C)
		masks.Targets = p.appendTargets(masks.Targets)
	}
	return masks
}

// maskStream places the blocks of one image.
func maskStream(seed uint64, step int64, image int) *draw.Stream {
	return draw.New(seed, "mask", uint64(step), uint64(image))
}

// contextLength is the table's context length for a target length.
func (m *Masker) contextLength(target int) int {
	for _, s := range m.shapes {
		if s.Target == target {
			return s.Context
		}
	}
	panic(fmt.Sprintf("model: no mask shape with targets of %d cells", target)) // every size of the table has its shape
}

// placer places the blocks of one image after another; block sizes are those of one step.
type placer struct {
	grid            int
	target, context size
	targetPlaces    size // how many tops and lefts are drawn
	contextPlaces   size
	corners         []corner // of the target blocks
	rows            []uint64 // the context: bit c of rows[r] is cell (r, c)
}

type corner struct{ top, left int }

func (m *Masker) newPlacer(target, context size) *placer {
	return &placer{
		grid: m.grid, target: target, context: context,
		targetPlaces:  target.places(m.grid, m.cfg.LastPlace),
		contextPlaces: context.places(m.grid, m.cfg.LastPlace),
		corners:       make([]corner, m.cfg.TargetBlocks),
		rows:          make([]uint64, m.grid),
	}
}

// place draws the blocks of an image until the context has the cells that it needs, and returns how many it has. A
// failure draws the context again, and the targets too if `targetsToo`. After every 20 failures one more target block is
// ignored when the context is cut, the last one first, as in the official sampler.
func (p *placer) place(stream *draw.Stream, need int, targetsToo bool) int {
	for failures := 0; ; failures++ {
		if failures == 0 || targetsToo {
			for i := range p.corners {
				p.corners[i] = p.targetPlaces.corner(stream)
			}
		}
		heeded := max(0, len(p.corners)-failures/patience)
		if length := p.cut(p.contextPlaces.corner(stream), p.corners[:heeded]); length >= need {
			return length
		}
	}
}

// cut makes the context: its rectangle without the cells of the given targets. It returns the number of cells.
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
