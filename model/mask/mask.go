package mask

import (
	"fmt"
	"sync"

	"github.com/cijepa/cijepa/model/draw"
)

// officialGroup is the number of images that the official code collates and trims together.
const officialGroup = 128

// Masks are the cells that the student sees and those that it predicts, for the B images of a
// step: ascending flat indices row*grid + column.
type Masks struct {
	B, C, M, K int     // images, context cells, target blocks of an image, cells of a target block
	Context    []int32 // [B, C]
	Targets    []int32 // [B, M, K]
}

// Shape is the pair of lengths of a step's masks.
type Shape struct {
	Target, Context int     // cells of a target block and of the context
	Probability     float64 // of a step to have it
}

// Masker draws the masks of a run. It is immutable, so safe for concurrent use.
type Masker struct {
	grid    int
	cfg     Config
	target  sizeTable // the size of a target block by its uniform number
	context sizeTable // the size of the context rectangle by its own
	shapes  []Shape   // one per target length, ascending
}

// made holds the Maskers of this process: the simulation that makes a table takes 0.1 s, and every
// check of the settings of a run asks for its Masker.
var made sync.Map // of key -> *Masker

type key struct {
	grid int
	cfg  Config
}

// New makes a Masker for a grid of grid x grid cells and computes its table of context lengths.
// It fails with *FieldError if a setting is outside its range, or if the targets leave no context.
func New(grid int, cfg Config) (*Masker, error) {
	if m, ok := made.Load(key{grid, cfg}); ok {
		return m.(*Masker), nil
	}
	if err := cfg.Validate(grid); err != nil {
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
	made.Store(key{grid, cfg}, m)
	return m, nil
}

// Shapes lists the shapes of steps, one for each target length, ascending. With official trimming
// the context length varies from step to step, about the one listed.
func (m *Masker) Shapes() []Shape {
	return append([]Shape(nil), m.shapes...)
}

// Draw returns the masks of a step. Block sizes depend on (seed, step) and are shared by all
// images. The positions of an image's blocks depend on (seed, step, image index) alone, however
// the step is cut into micro-batches. With official trimming the first group of 128 images sets
// the context length, and a shorter image of another group is drawn again.
func (m *Masker) Draw(seed uint64, step int64, batch int) Masks {
	sizes := draw.New(seed, "mask size", uint64(step))
	p := m.newPlacer(m.target.at(sizes.Float64()), m.context.at(sizes.Float64()))
	masks := Masks{B: batch, C: m.contextLength(p.target.cells()), M: m.cfg.TargetBlocks, K: p.target.cells()}
	group := 0 // images that set the length, and are not drawn again for it
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
	panic(fmt.Sprintf("mask: no shape with targets of %d cells", target)) // newShapes has covered the table of sizes
}
