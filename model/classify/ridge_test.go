package classify

import (
	"math"
	"slices"
	"testing"

	"github.com/cijepa/cijepa/model/draw"
)

// clouds are labelled features around a centre for each class, each feature with a scale and an
// offset of its own.
func clouds(seed uint64, n, width, classes int, spread float64) (features []float32, labels []int32) {
	centres, noise := draw.New(1, "centres"), draw.New(seed, "noise")
	at := make([]float64, classes*width)
	for i := range at {
		at[i] = centres.Normal()
	}
	for i := range n {
		class := i % classes
		labels = append(labels, int32(class))
		for f := range width {
			features = append(features, float32((at[class*width+f]+spread*noise.Normal())*float64(f+1)+100*float64(f)))
		}
	}
	return features, labels
}

// The answers are those of the normal equations, solved here by plain elimination on the features
// with a column of ones, whose weight bears no penalty.
func TestRidgeAgainstNormalEquations(t *testing.T) {
	const n, width, classes = 60, 7, 4
	train, labels := clouds(2, n, width, classes, 1.5)
	test, right := clouds(3, 200, width, classes, 1.5)
	mean, std := make([]float64, width), make([]float64, width)
	for f := range width {
		for i := range n {
			mean[f] += float64(train[i*width+f]) / n
		}
		for i := range n {
			std[f] += math.Pow(float64(train[i*width+f])-mean[f], 2) / n
		}
		std[f] = math.Sqrt(std[f])
	}
	row := func(features []float32, i int) []float64 {
		r := []float64{1}
		for f := range width {
			r = append(r, (float64(features[i*width+f])-mean[f])/std[f])
		}
		return r
	}
	const d = width + 1
	var system [d][d + classes]float64 // [x'x + penalty | x'y], over the samples
	for i := range n {
		x := row(train, i)
		for a := range d {
			for b := range d {
				system[a][b] += x[a] * x[b]
			}
			system[a][d+int(labels[i])] += x[a]
		}
	}
	for a := 1; a < d; a++ {
		system[a][a] += ridgePenalty * n
	}
	for a := range d {
		for b := range d {
			if a != b {
				factor := system[b][a] / system[a][a]
				for c := range d + classes {
					system[b][c] -= factor * system[a][c]
				}
			}
		}
	}
	got, hits := Ridge(train, labels, test, width, classes), 0
	for i, answer := range got {
		x, scores := row(test, i), make([]float64, classes)
		for class := range classes {
			for a := range d {
				scores[class] += x[a] * system[a][d+class] / system[a][a]
			}
		}
		if want := slices.Index(scores, slices.Max(scores)); want != int(answer) {
			t.Errorf("sample %d: class %d, want %d of %v", i, answer, want, scores)
		}
		if answer == right[i] {
			hits++
		}
	}
	if hits < 120 || hits == 200 {
		t.Errorf("%d of 200 right: the data should be neither hopeless nor trivial", hits)
	}
}

// Features that say nothing, that never change, or that are no numbers.
func TestRidgeOnConstantAndNonFiniteFeatures(t *testing.T) {
	const n, width, classes = 40, 5, 4
	train, labels := clouds(2, n, width, classes, 0.1)
	for i := range n {
		train[i*width+2] = 7 // one that never changes beside four that tell
	}
	if got := Ridge(train, labels, train, width, classes); !slices.Equal(got, labels) {
		t.Errorf("got %v, want %v", got, labels)
	}
	few := Ridge(train[:3*width], labels[:3], train[:3*width], width, classes) // fewer samples than features
	if !slices.Equal(few, labels[:3]) {
		t.Errorf("three samples: got %v, want %v", few, labels[:3])
	}
	for i := range train {
		train[i] = 3 // all alike: the commonest class
	}
	most := append(slices.Clone(labels[:n-1]), 1)
	if got := Ridge(train, most, train[:2*width], width, classes); !slices.Equal(got, []int32{1, 1}) {
		t.Errorf("equal features: got %v, want the commonest class", got)
	}
	for _, odd := range []float64{math.NaN(), math.Inf(1)} {
		train[7] = float32(odd)
		if got := Ridge(train, labels, train[:2*width], width, classes); !slices.Equal(got, []int32{0, 0}) {
			t.Errorf("%v among the features: got %v", odd, got)
		}
	}
}

// What an online evaluation solves at full size: 5,000 samples of 100 classes, 1,000 queries.
func BenchmarkRidge(b *testing.B) {
	train, labels := clouds(2, 5000, 768, 100, 1)
	test, _ := clouds(3, 1000, 768, 100, 1)
	for b.Loop() {
		Ridge(train, labels, test, 768, 100)
	}
}
