package mask

import (
	"math"
	"testing"
)

func TestShapesOfThePublishedGrid(t *testing.T) {
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

func TestEveryGridHasShapes(t *testing.T) {
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
