package model

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
)

// Weight matrices and the mask token are normal with std 0.02, each row and network with its own
// stream; biases are zero, gains one; the teacher is a copy of the student; moments and step counts
// are zero.
func TestInitialWeightsAndMoments(t *testing.T) {
	c := tiny()
	c.Width, c.PredictorWidth = 64, 32
	l := newTestLearner(t, c)
	s, err := l.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	arrays := parse(t, s)
	same := func(name string, want float64) {
		for _, v := range arrays[name] {
			if v != want {
				t.Fatalf("%s holds %g, want %g", name, v, want)
			}
		}
	}
	for _, p := range l.files(c) {
		for _, a := range p.group.arrays {
			for _, name := range a.names() {
				values := arrays[p.prefix+name]
				switch a.kind {
				case bias:
					same(p.prefix+name, 0)
				case gain:
					same(p.prefix+name, 1)
				case matrix:
					var sum, squares float64
					for _, v := range values {
						sum, squares = sum+v, squares+v*v
					}
					n := float64(len(values))
					if deviation := math.Sqrt(squares / n); math.Abs(deviation/initStd-1) > 4/math.Sqrt(2*n) {
						t.Errorf("%s%s has the deviation %g, want %g", p.prefix, name, deviation, initStd)
					}
					if mean := sum / n; math.Abs(mean) > 4*initStd/math.Sqrt(n) {
						t.Errorf("%s%s has the mean %g", p.prefix, name, mean)
					}
				}
				if p.prefix == "teacher." {
					if !slices.Equal(values, arrays["student."+name]) {
						t.Errorf("%s differs between teacher and student", name)
					}
					continue
				}
				for _, prefix := range []string{firstMoment, secondMoment, stepCount} {
					same(prefix+p.prefix+name, 0)
				}
			}
		}
	}
	for _, pair := range [][2]string{
		{"student.blocks.0.attn.proj.weight", "student.blocks.1.attn.proj.weight"},
		{"predictors.0.heads.0.weight", "predictors.1.heads.0.weight"},
		{"student.blocks.0.mlp.fc1.weight", "student.blocks.0.mlp.fc2.weight"},
	} {
		if slices.Equal(arrays[pair[0]], arrays[pair[1]]) {
			t.Errorf("%s and %s begin alike", pair[0], pair[1])
		}
	}
}

// The record of a run names its seed, so the weights of a seed must never change.
func TestInitialWeightsOfASeedAreFixed(t *testing.T) {
	a := array{name: "a", dims: []int{4}, kind: matrix}
	var got []float32
	for value := range slices.Chunk(initialValues(a, 42, studentSeed, 0), 4) {
		got = append(got, math.Float32frombits(binary.LittleEndian.Uint32(value)))
	}
	if want := []float32{-0.006995016, -0.0129126115, -0.006824486, -0.028601557}; !slices.Equal(got, want) {
		t.Errorf("seed 42 begins with %v, want %v", got, want)
	}
}
