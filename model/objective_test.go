package model

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// TestGoldenStep takes the three updates of every file, each with other sampled depths. It compares
// tables and losses, then the whole state.
func TestGoldenStep(t *testing.T) {
	d := testDevice(t)
	for _, file := range goldenFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			g := readGolden(t, file)
			l := g.learner(t, d)
			var worst float64
			most := tolerance(d, Float32)
			see := func(name string, got, want []float64) { worst = max(worst, same(t, name, got, want, most)) }
			for i, step := range g.steps {
				images, err := d.uploadImages(g.Config, g.images(i), dtypes.Float32)
				if err != nil {
					t.Fatal(err)
				}
				out, err := l.Step(StepInput{Images: images, Masks: g.masks(i), Sources: step.Sources, LR: step.Rate, EMAMomentum: step.Momentum})
				if err != nil {
					t.Fatal(err)
				}
				if out.Skipped {
					t.Errorf("step %d was skipped", i)
				}
				see(fmt.Sprintf("step%d/loss", i), []float64{out.Loss}, g.want(t, fmt.Sprintf("step%d/loss", i)).values)
				see(fmt.Sprintf("step%d/table", i), slices.Concat(out.Table...), g.want(t, fmt.Sprintf("step%d/table", i)).values)
			}
			s, err := l.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			after := parse(t, s)
			prefix := fmt.Sprintf("step%d/after/", len(g.steps)-1)
			var arrays, elements, above int
			for name, want := range g.tensors {
				name, ok := strings.CutPrefix(name, prefix)
				if !ok {
					continue
				}
				difference, n := compare(t, name, after[name], want.values, most)
				if worst = max(worst, difference); difference > adamTolerance {
					t.Errorf("%s differs by %.3g of its largest value", name, difference)
				}
				arrays, elements, above = arrays+1, elements+len(want.values), above+n
			}
			if float64(above) > adamShare*float64(elements) {
				t.Errorf("%d of %d elements of the state differ by more than %g", above, elements, most)
			}
			t.Logf("%s: %d tables and %d arrays of the state, worst difference %.2g, %d of %d elements above %g",
				file, len(g.steps), arrays, worst, above, elements, most)
		})
	}
}

// TestGoldenObjective compares the inside of the first step: hidden states, target features,
// predictions, gradients.
func TestGoldenObjective(t *testing.T)           { testGoldenObjective(t, Float32) }
func TestGoldenObjectiveInBFloat16(t *testing.T) { testGoldenObjective(t, BFloat16) }

func testGoldenObjective(t *testing.T, precision string) {
	d := testDevice(t)
	for _, file := range goldenFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			g := readGolden(t, file)
			g.Precision = precision
			l := g.learner(t, d)
			sources := g.steps[0].Sources
			var names []string // of the outputs
			exec, err := graph.NewExec(d.backend, func(nodes []*graph.Node) []*graph.Node {
				var outputs []*graph.Node
				names = nil
				add := func(name string, x *graph.Node) { names, outputs = append(names, name), append(outputs, x) }
				in := &inputs{nodes}
				b, r := in.batch(), in.numbers(l.rowNumbers()).rows(l.Config)
				p := in.params(l.Config)
				student, teacher := newParams(l.encoderArrays(), p.student), newParams(l.encoderArrays(), p.teacher)
				var predictors []params
				for _, stacked := range p.predictors {
					predictors = append(predictors, newParams(l.predictorArrays(), stacked))
				}
				patches := l.patches(b.images)
				hidden := l.encode(student, gatherTokens(patches, b.context), b.context)
				collect := func(hidden []*graph.Node) *graph.Node {
					var collected []*graph.Node
					for _, depth := range l.Depths {
						collected = append(collected, hidden[depth])
					}
					return graph.Stack(collected, 0)
				}
				add("hidden/student", collect(hidden))
				add("hidden/teacher", collect(l.encode(teacher, patches, nil)))
				depthsFirst := func(x *graph.Node) *graph.Node { // [BMK, LD] -> [L, BM, K, D]
					k := b.targets.Shape().Dim(2)
					return graph.TransposeAllAxes(graph.Reshape(x, -1, k, len(l.Depths), l.Width), 2, 0, 1, 3)
				}
				add("target_features", depthsFirst(l.targetFeatures(teacher, patches, b.targets)))
				positions := l.newPredictorPositions(b.context, b.targets)
				for slot, w := range predictors {
					add(fmt.Sprintf("prediction/%d", sources[slot]), depthsFirst(l.predict(w, l.source(hidden, r, slot), positions)))
				}
				_, loss := l.objective(b, r, student, teacher, predictors)
				gradients := l.gradients(loss, student, predictors)
				for group, list := range gradients {
					prefix, arrays := "student.", l.encoderArrays()
					if group > 0 {
						prefix, arrays = fmt.Sprintf("predictors.%d.", sources[group-1]), l.predictorArrays()
					}
					for i, a := range arrays {
						for row, name := range a.trained() {
							x := list[i]
							if a.rows > 0 {
								x = graph.Slice(x, graph.AxisElem(row))
							}
							add("grad/"+prefix+name, x)
						}
					}
				}
				return outputs
			})
			if err != nil {
				t.Fatal(err)
			}
			images, err := d.uploadImages(g.Config, g.images(0), dtypes.Float32)
			if err != nil {
				t.Fatal(err)
			}
			groups := []*paramGroup{l.student}
			for _, s := range sources {
				groups = append(groups, l.predictors[s])
			}
			var arguments []any
			step := StepInput{Images: images, Masks: g.masks(0), Sources: sources}
			numbers := l.rowNumbers().pack(l.rowValues(step))
			for _, x := range join(l.batch(step, 0), []*tensors.Tensor{numbers}, l.params(groups)) {
				arguments = append(arguments, x)
			}
			outputs, err := exec.Call(arguments...)
			if err != nil {
				t.Fatal(err)
			}
			var worst float64
			got := map[string]bool{}
			for i, name := range names {
				name = "step0/" + name
				got[name] = true
				most := tolerance(d, precision)
				if precision == BFloat16 && strings.HasPrefix(name, "step0/grad/") {
					most *= 2 // they have been through the network twice
				}
				worst = max(worst, same(t, name, doubles(t, outputs[i]), g.want(t, name).values, most))
			}
			for name := range g.tensors {
				if strings.HasPrefix(name, "step0/grad/") && !got[name] {
					t.Errorf("no %s", name)
				}
			}
			t.Logf("%s: %d tensors, worst difference %.2g", file, len(names), worst)
		})
	}
}

func TestRowWeightsPutTheBiasOnTheDeepest(t *testing.T) {
	value := func(x float64) *float64 { return &x }
	eleven := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	for _, c := range []struct {
		name      string
		depths    []int
		source    int
		all, last *float64
		deepest   float64
	}{
		{"alone", []int{11}, 11, value(0.5), value(0.8), 1},
		{"R-U, a row", eleven, 3, nil, nil, 1. / 11},
		{"R-U, the deepest row", eleven, 11, nil, nil, 1. / 11},
		{"R-A05-B05, a row", eleven, 3, value(0.5), nil, 0.5},
		{"R-A05-B05, the deepest row", eleven, 11, value(0.5), nil, 0.5},
		{"R-A05-B08, a row", eleven, 3, value(0.5), value(0.8), 0.5},
		{"R-A05-B08, the deepest row", eleven, 11, value(0.5), value(0.8), 0.8},
		{"R-B08, a row", eleven, 3, nil, value(0.8), 1. / 11},
		{"R-B08, the deepest row", eleven, 11, nil, value(0.8), 0.8},
		{"R-A05-B10, the deepest row", eleven, 11, value(0.5), value(1), 1},
		{"no mass on the deepest", []int{0, 5}, 0, value(0), nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := rowWeights(c.depths, c.source, c.all, c.last)
			n := len(c.depths)
			if len(w) != n || math.Abs(w[n-1]-c.deepest) > 1e-15 {
				t.Fatalf("weights %v, want %v on the deepest", w, c.deepest)
			}
			sum := w[n-1]
			for _, other := range w[:n-1] {
				sum += other
				if want := (1 - c.deepest) / float64(n-1); math.Abs(other-want) > 1e-15 {
					t.Errorf("weight %v, want %v", other, want)
				}
			}
			if math.Abs(sum-1) > 1e-12 {
				t.Errorf("the row sums to %v", sum)
			}
		})
	}
}
