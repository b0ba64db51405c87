package mask

import (
	"math"
	"slices"
	"testing"
)

func newMasker(t testing.TB, grid int, change func(*Config)) *Masker {
	t.Helper()
	cfg := Default()
	if change != nil {
		change(&cfg)
	}
	m, err := New(grid, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// checkMasks checks what is true of every image: ascending cells of the grid, rectangular targets,
// no overlap of context and targets. It returns the number of cells in the union of each image's
// targets.
func checkMasks(t *testing.T, grid int, m Masks) (unions []int) {
	t.Helper()
	if len(m.Context) != m.B*m.C || len(m.Targets) != m.B*m.M*m.K {
		t.Fatalf("%d context and %d target cells for B %d, C %d, M %d, K %d", len(m.Context), len(m.Targets), m.B, m.C, m.M, m.K)
	}
	ascending := func(cells []int32) bool {
		for i := 1; i < len(cells); i++ {
			if cells[i] <= cells[i-1] {
				return false
			}
		}
		return cells[0] >= 0 && int(cells[len(cells)-1]) < grid*grid
	}
	for b := range m.B {
		covered := make([]bool, grid*grid)
		for k := range m.M {
			block := m.Targets[(b*m.M+k)*m.K:][:m.K]
			first, last := int(block[0]), int(block[m.K-1])
			h, w := last/grid-first/grid+1, last%grid-first%grid+1
			if !ascending(block) || h*w != m.K {
				t.Fatalf("image %d: target %v is no rectangle", b, block)
			}
			for _, cell := range block {
				covered[cell] = true
			}
		}
		context := m.Context[b*m.C:][:m.C]
		if !ascending(context) {
			t.Fatalf("image %d: context %v", b, context)
		}
		for _, cell := range context {
			if covered[cell] {
				t.Fatalf("image %d: cell %d is context and target", b, cell)
			}
		}
		union := 0
		for _, c := range covered {
			if c {
				union++
			}
		}
		unions = append(unions, union)
	}
	return unions
}

func TestFixedTrimmingHasTheShapesOfTheTable(t *testing.T) {
	m := newMasker(t, 14, nil)
	context := map[int]int{30: 56, 35: 48, 36: 44, 40: 40}
	seen := map[int]int{}
	mean := 0.0
	const steps = 2000
	for step := range int64(steps) {
		masks := m.Draw(3, step, 4)
		if masks.B != 4 || masks.M != 4 || masks.C != context[masks.K] {
			t.Fatalf("step %d: %d images, %d targets of %d, context %d", step, masks.B, masks.M, masks.K, masks.C)
		}
		checkMasks(t, 14, masks)
		for _, cell := range slices.Concat(masks.Context, masks.Targets) {
			if cell%14 == 13 || cell/14 == 13 {
				t.Fatalf("step %d: cell %d", step, cell)
			}
		}
		seen[masks.K]++
		mean += float64(masks.C) / steps
	}
	for _, s := range m.Shapes() {
		if d := math.Abs(float64(seen[s.Target]) - steps*s.Probability); d > 5*math.Sqrt(steps*s.Probability) {
			t.Errorf("targets of %d cells in %d of %d steps, want a share of %.4f", s.Target, seen[s.Target], steps, s.Probability)
		}
	}
	if math.Abs(mean-50) > 0.6 {
		t.Errorf("mean context %.2f, want 50.0", mean)
	}
}

// The masks of an image depend on the seed, the step and its index, not on the batch around it.
func TestMasksOfAnImageDependOnItsIndexAlone(t *testing.T) {
	m := newMasker(t, 14, nil)
	for step := range int64(20) {
		whole := m.Draw(1, step, 24)
		part := m.Draw(1, step, 5)
		if !slices.Equal(part.Context, whole.Context[:len(part.Context)]) || !slices.Equal(part.Targets, whole.Targets[:len(part.Targets)]) {
			t.Fatalf("step %d: the first 5 images of 24 are not the 5", step)
		}
		if other := m.Draw(2, step, 24); slices.Equal(other.Targets, whole.Targets) {
			t.Errorf("step %d: two seeds, one mask", step)
		}
		if slices.Equal(whole.Targets[:whole.M*whole.K], whole.Targets[whole.M*whole.K:][:whole.M*whole.K]) {
			t.Errorf("step %d: two images, one mask", step)
		}
	}
	if a, b := m.Draw(1, 7, 64), m.Draw(1, 7, 64); !slices.Equal(a.Context, b.Context) || !slices.Equal(a.Targets, b.Targets) {
		t.Error("the same step drawn twice differs")
	}
}

func TestOfficialTrimmingCutsToTheShortest(t *testing.T) {
	m := newMasker(t, 14, func(c *Config) { c.Trim = TrimOfficial })
	const groups = 1500
	var sum float64
	for step := range int64(groups) {
		masks := m.Draw(11, step, 128)
		shortest := 169
		for _, union := range checkMasks(t, 14, masks) {
			shortest = min(shortest, 169-union)
		}
		if masks.C != shortest {
			t.Fatalf("step %d: trimmed to %d, the shortest context has %d", step, masks.C, shortest)
		}
		sum += float64(masks.C)
	}
	// The standard error is about 7.1 / sqrt(1500) = 0.18.
	if mean := sum / groups; math.Abs(mean-50.2) > 0.5 {
		t.Errorf("mean context %.2f over groups of 128, want 50.2 +- 0.5", mean)
	}
	// A larger batch has the length of its first group.
	small, large := m.Draw(11, 0, 128), m.Draw(11, 0, 300)
	checkMasks(t, 14, large)
	if small.C != large.C || !slices.Equal(small.Context, large.Context[:len(small.Context)]) {
		t.Errorf("context %d with 128 images, %d with 300", small.C, large.C)
	}
}

// Any settings give an error or masks, and drawing ends.
func FuzzMasker(f *testing.F) {
	f.Add(uint8(14), 0.85, 1., 0.15, 0.2, 0.75, 1.5, uint8(4), uint8(11), false, uint64(1))
	f.Add(uint8(6), 0.85, 1., 0.15, 0.2, 0.75, 1.5, uint8(4), uint8(11), true, uint64(2))
	f.Add(uint8(7), 0.3, 0.9, 0.02, 0.5, 0.1, 9., uint8(2), uint8(4), true, uint64(3))
	f.Add(uint8(20), 0.5, 0.5, 0.1, 0.1, 1., 1., uint8(9), uint8(1), false, uint64(4))
	f.Fuzz(func(t *testing.T, grid uint8, c0, c1, t0, t1, a0, a1 float64, blocks, least uint8, official bool, seed uint64) {
		if grid > 18 || blocks > 12 {
			t.Skip("too slow to be tried often")
		}
		cfg := Config{
			ContextScale: [2]float64{c0, c1}, TargetScale: [2]float64{t0, t1}, TargetAspect: [2]float64{a0, a1},
			TargetBlocks: int(blocks), MinContext: int(least), Trim: TrimFixed,
		}
		if official {
			cfg.Trim = TrimOfficial
		}
		m, err := New(int(grid), cfg)
		if err != nil {
			return
		}
		lengths := map[int]int{}
		for _, s := range m.Shapes() {
			lengths[s.Target] = s.Context
		}
		for step := range int64(20) {
			masks := m.Draw(seed, step, 6)
			context, known := lengths[masks.K]
			if !known || masks.M != cfg.TargetBlocks || len(masks.Context) != 6*masks.C || len(masks.Targets) != 6*masks.M*masks.K {
				t.Fatalf("%d x %d targets, contexts of %d", masks.M, masks.K, masks.C)
			}
			if !official && masks.C != context || masks.C < 1 {
				t.Fatalf("contexts of %d, want %d", masks.C, context)
			}
			for _, cell := range slices.Concat(masks.Context, masks.Targets) {
				if cell < 0 || int(cell) >= m.grid*m.grid {
					t.Fatalf("cell %d", cell)
				}
			}
		}
	})
}

// Two milliseconds for a batch of 512 are asked for.
func BenchmarkDraw512(b *testing.B) {
	m := newMasker(b, 14, nil)
	var step int64
	for b.Loop() {
		m.Draw(1, step, 512)
		step++
	}
}

func BenchmarkNewMasker(b *testing.B) {
	for b.Loop() {
		newMasker(b, 14, nil)
	}
}
