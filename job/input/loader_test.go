package input

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
)

// smallConfig trains on 8-pixel images in windows of two shards.
func smallConfig() Config {
	return Config{Size: 8, Batch: 4, Window: 2, Workers: 2, Prefetch: 2, Seed: 7, Shuffle: true, Crop: ProbeCrop()}
}

func newLoader(t testing.TB, source Source, config Config) *Loader {
	t.Helper()
	l, err := NewLoader(source, config)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// collect returns copies of the batches of steps from..to-1.
func collect(t testing.TB, l *Loader, from, to int64) []Batch {
	t.Helper()
	var all []Batch
	for b, err := range l.Batches(context.Background(), from, to) {
		if err != nil {
			t.Fatal(err)
		}
		if b.Step != from+int64(len(all)) {
			t.Fatalf("batch of step %d, want %d", b.Step, from+int64(len(all)))
		}
		all = append(all, Batch{Step: b.Step, Images: bytes.Clone(b.Images), Labels: slices.Clone(b.Labels), N: b.N})
	}
	if int64(len(all)) != max(to-from, 0) {
		t.Fatalf("%d batches of steps %d..%d", len(all), from, to-1)
	}
	return all
}

func TestEverySampleOnceAnEpoch(t *testing.T) {
	sizes := []int{5, 3, 0, 7, 1, 6}
	for _, shuffle := range []bool{false, true} {
		for _, partial := range []bool{false, true} {
			t.Run(fmt.Sprintf("shuffle=%v,partial=%v", shuffle, partial), func(t *testing.T) {
				c := smallConfig()
				c.Shuffle, c.KeepPartial = shuffle, partial
				source := newFakeSource(t, sizes...)
				l := newLoader(t, source, c)
				steps, kept := int64(5), 20
				if partial {
					steps, kept = 6, 22
				}
				if l.StepsPerEpoch() != steps {
					t.Fatalf("%d steps an epoch, want %d", l.StepsPerEpoch(), steps)
				}
				for epoch := range int64(3) {
					seen := map[int32]bool{}
					var labels []int32
					for _, b := range collect(t, l, epoch*steps, (epoch+1)*steps) {
						for k, label := range b.Labels {
							if k >= b.N {
								if label != -1 {
									t.Errorf("label %d behind the last sample, want -1", label)
								}
								continue
							}
							if seen[label] {
								t.Errorf("epoch %d has sample %d twice", epoch, label)
							}
							seen[label] = true
							labels = append(labels, label)
						}
					}
					if len(seen) != kept {
						t.Errorf("epoch %d has %d samples, want %d", epoch, len(seen), kept)
					}
					if ordered := slices.IsSorted(labels); ordered == shuffle {
						t.Errorf("epoch %d in stored order: %v, with Shuffle %v", epoch, ordered, shuffle)
					}
				}
			})
		}
	}
}

func TestResumeAtEveryStep(t *testing.T) {
	c := smallConfig()
	c.KeepPartial = true
	source := newFakeSource(t, 5, 3, 7, 1, 6, 4)
	const steps = 16 // more than two epochs of 7
	want := collect(t, newLoader(t, source, c), 0, steps)
	for from := range int64(steps) {
		c.Workers, c.Prefetch = 1+int(from)%5, 1+int(from)%3
		for i, got := range collect(t, newLoader(t, source, c), from, steps) {
			w := want[from+int64(i)]
			if !bytes.Equal(got.Images, w.Images) || !slices.Equal(got.Labels, w.Labels) || got.N != w.N {
				t.Fatalf("resumed at %d with %d workers: batch %d differs", from, c.Workers, got.Step)
			}
		}
	}
	if bytes.Equal(want[0].Images, want[7].Images) || slices.Equal(want[0].Labels, want[7].Labels) {
		t.Error("two epochs are alike")
	}
}
