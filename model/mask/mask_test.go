package mask

import (
	"errors"
	"math"
	"math/bits"
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

// checkMasks holds what is true of every image: ascending cells of the grid, target rectangles, no overlap of context
// and targets. It returns the number of cells in the union of an image's targets, for each image.
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

func TestMaskShapes(t *testing.T) {
	m := newMasker(t, 14, nil)
	// The ranges of the target block's uniform number, as I-JEPA's formula gives them.
	want := sizeTable{
		{0, .26530612, size{5, 6}}, {.26530612, .45454545, size{6, 6}}, {.45454545, .46938776, size{6, 5}},
		{.46938776, .49862259, size{6, 6}}, {.49862259, .60952381, size{6, 5}}, {.60952381, .97368421, size{7, 5}},
		{.97368421, 1, size{8, 5}},
	}
	if len(m.target) != len(want) {
		t.Fatalf("%d ranges %v, want %d", len(m.target), m.target, len(want))
	}
	probability := map[size]float64{}
	for i, r := range m.target {
		if w := want[i]; r.size != w.size || math.Abs(r.from-w.from) > 1e-8 || math.Abs(r.to-w.to) > 1e-8 {
			t.Errorf("range %d is %v, want %v", i, r, w)
		}
		probability[r.size] += r.to - r.from
	}
	for s, want := range map[size]float64{{5, 6}: .26530612, {6, 5}: .12574352, {7, 5}: .36416040, {6, 6}: .21847417, {8, 5}: .02631579} {
		if math.Abs(probability[s]-want) > 2e-8 {
			t.Errorf("%v has probability %.8f, want %.8f", s, probability[s], want)
		}
	}
	if len(m.context) != 1 || m.context[0].size != (size{13, 13}) {
		t.Errorf("context rectangles %v, want 13x13 alone", m.context)
	}
	shapes := m.Shapes()
	for i, want := range []Shape{{30, 56, .39104964}, {35, 48, .36416040}, {36, 44, .21847417}, {40, 40, .02631579}} {
		if got := shapes[i]; got.Target != want.Target || got.Context != want.Context || math.Abs(got.Probability-want.Probability) > 2e-8 {
			t.Errorf("shape %d is %+v, want %+v", i, got, want)
		}
	}
	if len(shapes) != 4 {
		t.Errorf("%d shapes %v", len(shapes), shapes)
	}
}

// The table of ranges gives what the formula gives, on every grid.
func TestSizeTable(t *testing.T) {
	cfg := Default()
	for grid := 2; grid <= 64; grid++ {
		for name, bounds := range map[string][2][2]float64{
			"target":  {cfg.TargetScale, cfg.TargetAspect},
			"context": {cfg.ContextScale, {1, 1}},
			"fixed":   {{0.5, 0.5}, {1, 1}},
		} {
			table := newSizeTable(grid, bounds[0], bounds[1])
			if table[0].from != 0 || table[len(table)-1].to != 1 {
				t.Fatalf("grid %d, %s: %v", grid, name, table)
			}
			for i := range 1000 {
				u := (float64(i) + math.Pi/10) / 1000 // borders are rational, so never hit
				if got, want := table.at(u), blockSize(grid, bounds[0], bounds[1], u); got != want {
					t.Errorf("grid %d, %s: %v at %v, want %v", grid, name, got, u, want)
				}
			}
		}
	}
}

// 200,000 images on I-JEPA's grid, before any trimming.
func TestMaskStatistics(t *testing.T) {
	m := newMasker(t, 14, nil)
	const images = 40_000 // of each of the five sizes
	all, variance := 0.0, 0.0
	for _, c := range []struct {
		size        size
		mean        float64
		probability float64
	}{
		{size{5, 6}, 86.8043, .26530612}, {size{6, 5}, 86.8043, .12574352}, {size{7, 5}, 79.1275, .36416040},
		{size{6, 6}, 78.2562, .21847417}, {size{8, 5}, 71.6078, .02631579},
	} {
		p := m.newPlacer(c.size, size{13, 13})
		var sum, squares float64
		for image := range images {
			stream := maskStream(5, int64(c.size.h*100+c.size.w), image)
			// Asking for one cell shows that nothing is drawn again or ignored: the shortest context has 25 or so.
			length := p.place(stream, 1, false)
			if length <= 10 {
				t.Fatalf("%v: a context of %d cells", c.size, length)
			}
			var union [14]uint16
			for _, at := range p.corners {
				for r := range c.size.h {
					union[at.top+r] |= (1<<c.size.w - 1) << at.left
				}
			}
			covered := 0
			for r, row := range union {
				covered += bits.OnesCount16(row)
				if row>>13 != 0 || r == 13 && row != 0 || p.rows[r]>>13 != 0 || r == 13 && p.rows[r] != 0 {
					t.Fatalf("%v: row or column 13 is used", c.size)
				}
			}
			if length+covered != 169 {
				t.Fatalf("%v: context %d + targets %d is not 169", c.size, length, covered)
			}
			sum += float64(length)
			squares += float64(length * length)
		}
		mean := sum / images
		spread := squares/images - mean*mean
		if bound := 4 * math.Sqrt(spread/images); math.Abs(mean-c.mean) > bound {
			t.Errorf("%v: mean context %.4f, want %.4f within %.4f", c.size, mean, c.mean, bound)
		}
		all += c.probability * mean
		variance += c.probability * squares / images
	}
	if math.Abs(all-81.741) > 4*13.7/math.Sqrt(5*images) {
		t.Errorf("mean context %.3f, want 81.741", all)
	}
	if sd := math.Sqrt(variance - all*all); math.Abs(sd-13.7) > 0.1 {
		t.Errorf("standard deviation %.2f, want 13.7", sd)
	}
}

// The enumeration's shares against the means that are known exactly, and against the simulation.
func TestContextLengths(t *testing.T) {
	m := newMasker(t, 14, nil)
	for _, c := range []struct {
		size size
		mean float64
	}{{size{5, 6}, 86.8043}, {size{6, 5}, 86.8043}, {size{7, 5}, 79.1275}, {size{6, 6}, 78.2562}, {size{8, 5}, 71.6078}} {
		p := pairing{c.size, size{13, 13}, 1}
		exact, estimate := make([]float64, 14*14+1), make([]float64, 14*14+1)
		m.enumerate(p, exact)
		m.simulate(p, estimate)
		var total, mean, far float64
		for n, share := range exact {
			total += share
			mean += share * float64(n)
			far = max(far, math.Abs(share-estimate[n]))
		}
		if math.Abs(total-1) > 1e-9 || math.Abs(mean-c.mean) > 5e-5 {
			t.Errorf("%v: shares sum to %v with mean %.5f, want %.4f", c.size, total, mean, c.mean)
		}
		if far > 5*math.Sqrt(0.03*0.97/simulated) {
			t.Errorf("%v: a share differs by %.5f from the simulation", c.size, far)
		}
	}
}

// Few blocks on a small grid, where every ordered placement can be walked: several places of the context, and the last
// place drawn too.
func TestContextLengthsOfFewBlocks(t *testing.T) {
	const grid = 5
	m := &Masker{grid: grid, cfg: Config{TargetBlocks: 3, LastPlace: true}}
	p := pairing{size{2, 1}, size{3, 4}, 0.5}
	got := make([]float64, grid*grid+1)
	m.enumerate(p, got)
	want := make([]float64, grid*grid+1)
	const tops, lefts, placements = 4, 5, 4 * 5 * 4 * 5 * 4 * 5 * 3 * 2
	for code := range placements {
		next := func(n int) int { digit := code % n; code /= n; return digit }
		var context [grid][grid]bool
		top, left := next(3), next(2)
		for r := range 3 {
			for c := range 4 {
				context[top+r][left+c] = true
			}
		}
		for range 3 {
			top, left := next(tops), next(lefts)
			context[top][left], context[top+1][left] = false, false
		}
		n := 0
		for r := range grid {
			for c := range grid {
				if context[r][c] {
					n++
				}
			}
		}
		want[n] += 0.5 / placements
	}
	for n := range want {
		if math.Abs(got[n]-want[n]) > 1e-9 {
			t.Errorf("%.6f of the images have contexts of %d cells, want %.6f", got[n], n, want[n])
		}
	}
}

func TestDrawFixed(t *testing.T) {
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

// The masks of an image depend on the seed, the step and its index, not on the number of images around it.
func TestDrawIsAFunctionOfItsPlace(t *testing.T) {
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

func TestDrawOfficial(t *testing.T) {
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

// The official sampler never draws the last legal place of a block; with LastPlace it is drawn as often as any other.
func TestLastPlace(t *testing.T) {
	for _, last := range []bool{false, true} {
		m := newMasker(t, 14, func(c *Config) { c.LastPlace = last })
		tops := map[int]int{}
		contexts := map[int32]int{}
		const steps, batch = 300, 32
		n := 0
		for step := range int64(steps) {
			masks := m.Draw(2, step, batch)
			checkMasks(t, 14, masks)
			if masks.K != 35 { // 7x5
				continue
			}
			for i := 0; i < len(masks.Targets); i += masks.K {
				tops[int(masks.Targets[i])/14]++
				n++
			}
			contexts[masks.Context[0]/14]++
		}
		places := 7
		if last {
			places = 8
		}
		if len(tops) != places {
			t.Errorf("LastPlace %v: a block of height 7 has tops %v, want %d of them", last, tops, places)
		}
		for top, count := range tops {
			p := 1 / float64(places)
			// Few images are drawn again, which favours blocks that overlap; that moves a share by less than 2 %.
			if math.Abs(float64(count)/float64(n)-p) > 5*math.Sqrt(p*(1-p)/float64(n))+0.02*p {
				t.Errorf("LastPlace %v: top %d in %d of %d blocks", last, top, count, n)
			}
		}
	}
}

func TestOtherGrids(t *testing.T) {
	for _, grid := range []int{6, 7, 8, 9, 12, 16, 24} {
		m := newMasker(t, grid, nil)
		total := 0.0
		for i, s := range m.Shapes() {
			total += s.Probability
			if s.Context%4 != 0 || s.Context < 8 || s.Target < 1 || i > 0 && s.Target <= m.Shapes()[i-1].Target {
				t.Errorf("grid %d: shapes %v", grid, m.Shapes())
			}
		}
		if math.Abs(total-1) > 1e-9 {
			t.Errorf("grid %d: probabilities sum to %v", grid, total)
		}
		for step := range int64(50) {
			checkMasks(t, grid, m.Draw(1, step, 8))
		}
	}
}

func TestMaskFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		field  string
		grid   int
		change func(*Config)
	}{
		{"no room", "MinContext", 5, nil},
		{"no room for a cell", "TargetScale", 2, nil},
		{"no grid", "Grid", 1, nil},
		{"huge grid", "Grid", 65, nil},
		{"scale reversed", "TargetScale", 14, func(c *Config) { c.TargetScale = [2]float64{0.2, 0.15} }},
		{"scale above 1", "ContextScale", 14, func(c *Config) { c.ContextScale = [2]float64{0.85, 1.1} }},
		{"scale not a number", "ContextScale", 14, func(c *Config) { c.ContextScale[0] = math.NaN() }},
		{"no aspect", "TargetAspect", 14, func(c *Config) { c.TargetAspect = [2]float64{} }},
		{"no blocks", "TargetBlocks", 14, func(c *Config) { c.TargetBlocks = 0 }},
		{"no context wanted", "MinContext", 14, func(c *Config) { c.MinContext = 0 }},
		{"too much context wanted", "MinContext", 14, func(c *Config) { c.MinContext = 170 }},
		{"targets everywhere", "MinContext", 14, func(c *Config) { c.TargetScale = [2]float64{0.9, 0.95}; c.TargetAspect = [2]float64{1, 1} }},
		{"contexts too small at times", "ContextScale", 14, func(c *Config) { c.ContextScale = [2]float64{0.03, 1} }},
		{"unknown trimming", "Trim", 14, func(c *Config) { c.Trim = "" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Default()
			if c.change != nil {
				c.change(&cfg)
			}
			_, err := New(c.grid, cfg)
			var field *FieldError
			if !errors.As(err, &field) || field.Field != "Masks."+c.field {
				t.Errorf("error %v, want one of field %s", err, c.field)
			}
		})
	}
}

// When no placement keeps enough, targets are ignored from the last one on, one after every 20 failures.
func TestTargetsAreIgnoredAtLast(t *testing.T) {
	m := newMasker(t, 14, nil)
	p := m.newPlacer(size{7, 5}, size{13, 13})
	for image := range 200 {
		p.place(maskStream(1, 0, image), 169-35, false) // at most one target may be cut out
		corners := slices.Clone(p.corners)
		want := p.cut(corner{0, 0}, corners[:1])
		ignored := 3
		for n := 4; n > 1; n-- {
			if p.cut(corner{0, 0}, corners[:n]) >= 169-35 {
				ignored, want = 4-n, p.cut(corner{0, 0}, corners[:n])
				break
			}
		}
		got := p.place(maskStream(1, 0, image), 169-35, false)
		if got != want {
			t.Fatalf("image %d: context of %d cells, want %d with %d targets ignored", image, got, want, ignored)
		}
	}
}

// Whatever the settings, there is an error or there are masks; drawing ends.
func FuzzMasker(f *testing.F) {
	f.Add(uint8(14), 0.85, 1., 0.15, 0.2, 0.75, 1.5, uint8(4), uint8(11), false, false, uint64(1))
	f.Add(uint8(6), 0.85, 1., 0.15, 0.2, 0.75, 1.5, uint8(4), uint8(11), false, true, uint64(2))
	f.Add(uint8(7), 0.3, 0.9, 0.02, 0.5, 0.1, 9., uint8(2), uint8(4), true, true, uint64(3))
	f.Add(uint8(20), 0.5, 0.5, 0.1, 0.1, 1., 1., uint8(9), uint8(1), true, false, uint64(4))
	f.Fuzz(func(t *testing.T, grid uint8, c0, c1, t0, t1, a0, a1 float64, blocks, least uint8, last, official bool, seed uint64) {
		if grid > 18 || blocks > 12 {
			t.Skip("too slow to be tried often")
		}
		cfg := Config{
			ContextScale: [2]float64{c0, c1}, TargetScale: [2]float64{t0, t1}, TargetAspect: [2]float64{a0, a1},
			TargetBlocks: int(blocks), MinContext: int(least), LastPlace: last, Trim: TrimFixed,
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
