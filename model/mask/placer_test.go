package mask

import (
	"math"
	"math/bits"
	"slices"
	"testing"
)

// 200,000 images on I-JEPA's grid, before any trimming.
func TestContextsHaveThePublishedStatistics(t *testing.T) {
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
			// Asking for one cell shows that nothing is drawn again or ignored: the shortest
			// context has 25 or so.
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

// The official sampler never draws the last legal position of a block; the others come alike often.
func TestLastPositionIsNeverDrawn(t *testing.T) {
	m := newMasker(t, 14, nil)
	tops := map[int]int{}
	const steps, batch, positions = 300, 32, 7
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
	}
	if len(tops) != positions {
		t.Errorf("a block of height 7 has tops %v, want %d of them", tops, positions)
	}
	const p = 1. / positions
	for top, count := range tops {
		// Few images are drawn again, which favours blocks that overlap. That moves a share by less
		// than 2 %.
		if math.Abs(float64(count)/float64(n)-p) > 5*math.Sqrt(p*(1-p)/float64(n))+0.02*p {
			t.Errorf("top %d in %d of %d blocks", top, count, n)
		}
	}
}

// If no placement leaves enough, targets are ignored from the last one on, one after every 20
// failures.
func TestTargetsAreIgnoredAfterFailures(t *testing.T) {
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
