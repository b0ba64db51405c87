package model

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cijepa/cijepa/model/classify"
)

// A monitor's figures are those of a probe's features and of the tokens behind them, for any batch
// size.
func TestHealthIsThatOfTheProbesFeatures(t *testing.T) {
	cfg := probeConfig(0, 2, 3)
	p := newProbe(t, cfg, 3, 7)
	encoder := strongEncoder(t, cfg)
	images, _ := labelled(cfg, 7, 3, 3)
	features, err := p.Features(images)
	if err != nil {
		t.Fatal(err)
	}
	var want Health
	want.Std, want.Rank = classify.Spread(features, 3, cfg.Width)
	for _, hidden := range tokens(t, p, images) {
		square := 0.0
		for _, x := range hidden {
			square += float64(x) * float64(x) / float64(len(hidden))
		}
		want.RMS = append(want.RMS, math.Sqrt(square))
	}
	for _, batch := range []int{1, 3, 7, 10} {
		m, err := NewMonitor(testDevice(t), cfg, batch)
		if err != nil {
			t.Fatal(err)
		}
		got, err := measureEncoder(t, m, encoder, images)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-4, 0)); diff != "" {
			t.Errorf("batches of %d (-want +got):\n%s", batch, diff)
		}
	}
}

// A new learner's teacher measures as the initial encoder of its seed does.
func TestNewTeacherMeasuresAsTheInitialEncoder(t *testing.T) {
	cfg := probeConfig(1, 3)
	d := testDevice(t)
	l, err := NewLearner(d, cfg, 4)
	if err != nil {
		t.Fatal(err)
	}
	initial, err := InitialEncoder(cfg, 4)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewMonitor(d, cfg, 4)
	if err != nil {
		t.Fatal(err)
	}
	images, _ := labelled(cfg, 6, 3, 0)
	want, errA := measureEncoder(t, m, initial, images)
	got, errB := m.MeasureTeacher(l, images)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-initial +teacher):\n%s", diff)
	}
	if slices.Min(got.RMS) <= 0 {
		t.Errorf("RMS %v", got.RMS)
	}
	if _, err := m.MeasureTeacher(l, images[1:]); err == nil {
		t.Error("part of an image was measured")
	}
	if _, err := measureEncoder(t, m, initial, nil); err == nil {
		t.Error("no image was measured")
	}
}

// The teacher's features are the deepest that a probe has of the same encoder, for any batch size.
func TestTeacherFeaturesAreTheProbesDeepest(t *testing.T) {
	cfg := probeConfig(1, 3)
	d := testDevice(t)
	l, err := NewLearner(d, cfg, 4)
	if err != nil {
		t.Fatal(err)
	}
	initial, err := InitialEncoder(cfg, 4)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewProbe(d, cfg, ProbeConfig{Classes: 3, Batch: 6, LR: 1}, initial, 1)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewMonitor(d, cfg, 4)
	if err != nil {
		t.Fatal(err)
	}
	images, _ := labelled(cfg, 6, 3, 0)
	both, err := p.Features(images) // [6, 2, D]
	if err != nil {
		t.Fatal(err)
	}
	var want, got []float32
	for image := range 6 {
		want = append(want, both[(2*image+1)*cfg.Width:(2*image+2)*cfg.Width]...)
	}
	size := cfg.Image * cfg.Image * 3
	for _, part := range [][]byte{images[:4*size], images[4*size:]} {
		some, err := m.TeacherFeatures(l, part)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, some...)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-5, 1e-6)); diff != "" {
		t.Errorf("(-probe +teacher):\n%s", diff)
	}
	if _, err := m.TeacherFeatures(l, images); err == nil {
		t.Error("six images passed through a program for four")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.TeacherFeatures(l, images[:size]); err == nil {
		t.Error("a closed learner has features")
	}
}

// measureEncoder measures an encoder that no learner holds.
func measureEncoder(t *testing.T, m *Monitor, e *Encoder, images []byte) (Health, error) {
	t.Helper()
	encoder, err := m.uploadEncoder(e)
	if err != nil {
		t.Fatal(err)
	}
	return m.measure(encoder, images)
}
