package input

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cijepa/cijepa/job/input/pixels"
)

// smallConfig trains on 8-pixel images in windows of two shards.
func smallConfig() Config {
	return Config{Size: 8, Batch: 4, Window: 2, workers: 2, Seed: 7, Shuffle: true, Crop: pixels.ProbeCrop()}
}

// newLoader is NewLoader without an error.
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

// TestEverySampleOnceAnEpoch, except for the partial batch unless KeepPartial is set.
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
									t.Errorf("label %d after the last sample, want -1", label)
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

// TestResumeAtEveryStepGivesTheSameBatches, with any number of workers.
func TestResumeAtEveryStepGivesTheSameBatches(t *testing.T) {
	c := smallConfig()
	c.KeepPartial = true
	source := newFakeSource(t, 5, 3, 7, 1, 6, 4)
	const steps = 16 // more than two epochs of 7
	want := collect(t, newLoader(t, source, c), 0, steps)
	for from := range int64(steps) {
		c.workers = 1 + int(from)%5
		for i, got := range collect(t, newLoader(t, source, c), from, steps) {
			w := want[from+int64(i)]
			if !bytes.Equal(got.Images, w.Images) || !slices.Equal(got.Labels, w.Labels) || got.N != w.N {
				t.Fatalf("resumed at %d with %d workers: batch %d differs", from, c.workers, got.Step)
			}
		}
	}
	if bytes.Equal(want[0].Images, want[7].Images) || slices.Equal(want[0].Labels, want[7].Labels) {
		t.Error("two epochs are alike")
	}
}

// TestReadErrorEndsTheIteration whichever sample it is of, the first or the last.
func TestReadErrorEndsTheIteration(t *testing.T) {
	broken := errors.New("the disk is gone")
	for sample := range 10 {
		source := newFakeSource(t, 10, 10)
		source.broken = map[[2]int]error{{1, sample}: broken}
		if err := exhaust(context.Background(), newLoader(t, source, smallConfig()), 0, 5); !errors.Is(err, broken) {
			t.Errorf("sample %d: error %v, want the source's", sample, err)
		}
	}
}

// TestContextEndsTheIteration at once, with the context's cause.
func TestContextEndsTheIteration(t *testing.T) {
	source := newFakeSource(t, 10, 10)
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	l := newLoader(t, source, smallConfig())
	seen := 0
	var last error
	for b, err := range l.Batches(ctx, 0, 1<<40) {
		if last = err; err != nil {
			break
		}
		if seen++; b.Step == 7 {
			cancel(reason)
		}
	}
	if !errors.Is(last, reason) || seen != 8 {
		t.Errorf("error %v after %d batches, want %v after 8", last, seen, reason)
	}
}

// TestNoGoroutineIsLeft whatever ends an iteration: synctest fails if a goroutine is left.
func TestNoGoroutineIsLeft(t *testing.T) {
	for _, end := range []string{"last step", "break", "error", "cancel"} {
		t.Run(end, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := newFakeSource(t, 10, 10)
				source.delay = time.Millisecond
				if end == "error" {
					source.broken = map[[2]int]error{{1, 1}: errors.New("broken")}
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				views := 0
				for _, err := range newLoader(t, source, smallConfig()).Batches(ctx, 0, 10) {
					if end == "break" || err != nil {
						break
					}
					if end == "cancel" {
						cancel()
					}
				}
				views = source.viewed()
				time.Sleep(time.Second)
				if source.viewed() != views {
					t.Error("samples are read after the end")
				}
			})
		})
	}
}

// TestFastWorkersKeepTheDeviceBusy: with a device that takes D a step and workers that take 0.8 D a
// batch, the device does not wait. The clock is synctest's, so that the machine's load does not
// count.
func TestFastWorkersKeepTheDeviceBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const steps, step = 200, 100 * time.Millisecond
		c := smallConfig() // two workers make a batch of four in two delays
		source := newFakeSource(t, 40, 40, 40, 40)
		source.delay = step * 8 / 10 / 2
		l := newLoader(t, source, c)
		start := time.Now()
		var waited time.Duration
		for b, err := range l.Batches(t.Context(), 0, steps) {
			if err != nil {
				t.Fatal(err)
			}
			waited += b.Wait
			time.Sleep(step)
		}
		total := time.Since(start)
		if want := steps*step + waited; total != want {
			t.Errorf("%v passed, want %v: the steps and the waits", total, want)
		}
		if waited == 0 || waited > total/100 {
			t.Errorf("waited for %v of %v, want more than nothing and at most 1 %%", waited, total)
		}
	})
}

// TestSlowWorkersCostTheDifference: with workers slower than the device, the wait is the
// difference, and no more.
func TestSlowWorkersCostTheDifference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const steps, step = 50, 100 * time.Millisecond
		source := newFakeSource(t, 40, 40)
		source.delay = step // a batch takes two
		l := newLoader(t, source, smallConfig())
		var got time.Duration
		for b, err := range l.Batches(t.Context(), 0, steps) {
			if err != nil {
				t.Fatal(err)
			}
			got += b.Wait
			time.Sleep(step)
		}
		if want := steps*step + step; got < want-step || got > want+step {
			t.Errorf("waited for %v, want %v", got, want)
		}
	})
}

// TestMemoryIsBoundedByBatches, however many samples there are. Only the order of an epoch grows,
// by four bytes a sample.
func TestMemoryIsBoundedByBatches(t *testing.T) {
	heap := func(samples int) uint64 {
		shared := numberedPNG(t, 1, 1)
		source := &fakeSource{t: t, sizes: []int{samples / 2, samples / 2}, image: func(int, int) []byte { return shared }}
		c := smallConfig()
		c.Size, c.Batch, c.Crop = 64, 16, pixels.PretrainCrop() // 196,608 bytes a batch
		var sizes []uint64
		for b, err := range newLoader(t, source, c).Batches(t.Context(), 0, 40) {
			if err != nil {
				t.Fatal(err)
			}
			if b.Step >= 20 && b.Step%2 == 1 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				sizes = append(sizes, m.HeapAlloc)
			}
		}
		return slices.Min(sizes) // workers allocate meanwhile; what stays is in every measurement
	}
	heap(640) // the first run allocates some memory for good
	small, large := heap(640), heap(64000)
	if extra := int64(large) - int64(small); extra > 4*64000+1<<20 {
		t.Errorf("%d bytes with 640 samples, %d with 64,000", small, large)
	}
	if large < 3*16*64*64*3 {
		t.Errorf("%d bytes are too few for three batches: the measurement is wrong", large)
	}
}

// TestShardsAreAnnouncedInTheOrderOfUse, once for every window. The source checks that no sample of
// a later window is read meanwhile.
func TestShardsAreAnnouncedInTheOrderOfUse(t *testing.T) {
	source := newFakeSource(t, 4, 4, 4, 4, 4)
	source.window, source.delay = 2, time.Millisecond
	c := smallConfig()
	c.workers = 8
	l := newLoader(t, source, c) // windows of 2, 2 and 1 shards; 5 steps an epoch
	collect(t, l, 3, 12)
	e0, e1, e2 := l.order.shards(0), l.order.shards(1), l.order.shards(2)
	want := [][]int{
		slices.Concat(e0[2:], e1), // from step 3, position 12, in the second window
		slices.Concat(e0[4:], e1), // from step 4
		slices.Concat(e1, e2[:2]), // steps 10 and 11 take 8 samples: the first window
		slices.Concat(e1[2:], e2[:2]),
		slices.Concat(e1[4:], e2[:2]),
		e2[:2],
		nil, // at the end
	}
	if len(source.ahead) != len(want) {
		t.Fatalf("announced %v, want %v", source.ahead, want)
	}
	for i := range want {
		if !slices.Equal(source.ahead[i], want[i]) {
			t.Errorf("announced %v, want %v", source.ahead[i], want[i])
		}
	}
}

// TestIterationOfNoSteps yields nothing; steps below 0, and of a split below one batch, are errors.
func TestIterationOfNoSteps(t *testing.T) {
	l := newLoader(t, newFakeSource(t, 10), smallConfig())
	for range l.Batches(context.Background(), 5, 5) {
		t.Error("a batch of no steps")
	}
	if err := exhaust(context.Background(), l, -1, 5); err == nil {
		t.Error("no error for step -1")
	}
	l = newLoader(t, newFakeSource(t, 3), smallConfig())
	if l.StepsPerEpoch() != 0 {
		t.Errorf("3 samples make %d batches of 4", l.StepsPerEpoch())
	}
	if err := exhaust(context.Background(), l, 0, 5); err == nil {
		t.Error("no error for a split that does not fill a batch")
	}
}

// TestEvaluationBatchesAreInStoredOrder, the same in every epoch, the partial one filled with
// black.
func TestEvaluationBatchesAreInStoredOrder(t *testing.T) {
	c := smallConfig()
	c.Shuffle, c.KeepPartial, c.Crop = false, true, pixels.EvaluationCrop(c.Size)
	got := collect(t, newLoader(t, newFakeSource(t, 5, 1), c), 0, 4)
	for i, want := range [][]int32{{0, 1, 2, 3}, {4, 1000, -1, -1}, {0, 1, 2, 3}, {4, 1000, -1, -1}} {
		if !slices.Equal(got[i].Labels, want) {
			t.Errorf("step %d: labels %v, want %v", i, got[i].Labels, want)
		}
		if n := len(slices.DeleteFunc(slices.Clone(want), func(l int32) bool { return l < 0 })); got[i].N != n {
			t.Errorf("step %d: %d samples, want %d", i, got[i].N, n)
		}
	}
	if !bytes.Equal(got[0].Images, got[2].Images) {
		t.Error("evaluation is random")
	}
	if rest := got[1].Images[2*8*8*3:]; !bytes.Equal(rest, make([]byte, len(rest))) {
		t.Error("the images after the last sample are not black")
	}
}
