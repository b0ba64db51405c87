package job

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model/mask"
	"github.com/cijepa/cijepa/storage/checkpoint"
	"github.com/cijepa/cijepa/storage/shards"
)

// TestBankIsSpreadOverClasses: of every class the first samples, as many of each as of the others,
// in the order of the split.
func TestBankIsSpreadOverClasses(t *testing.T) {
	split := []shards.Shard{
		{Samples: shards.Samples{Labels: []int32{0, 0, 0, 1}}},
		{Samples: shards.Samples{Labels: []int32{0, 1, 1, 1, 2}}},
	}
	for _, c := range []struct {
		n    int
		want []sample
	}{
		{3, []sample{{0, 0}, {0, 3}, {1, 4}}},
		{6, []sample{{0, 0}, {0, 1}, {0, 3}, {1, 1}, {1, 4}}}, // there is one of class 2
		{4, []sample{{0, 0}, {0, 1}, {0, 3}, {1, 1}}},
		{100, []sample{{0, 0}, {0, 1}, {0, 2}, {0, 3}, {1, 0}, {1, 1}, {1, 2}, {1, 3}, {1, 4}}},
	} {
		if got := spread(split, 3, c.n); !slices.Equal(got, c.want) {
			t.Errorf("%d samples: %v, want %v", c.n, got, c.want)
		}
	}
}

// TestEvaluationsCostUnderOnePercent: by operations the looks of every run of the table take less
// than a hundredth of its pretraining, and of what is kept in memory no more than is said.
func TestEvaluationsCostUnderOnePercent(t *testing.T) {
	for _, row := range settings.Presets() {
		cfg := settings.Defaults()
		row.Apply(&cfg)
		look := (evalQueries + evalBank) * cfg.Model().EncoderFLOPs()
		between := float64(cfg.EvalEvery) * 247 * 512 * cfg.Model().FLOPs(mask.Shape{Target: 35, Context: 48})
		t.Logf("%s: a look is %.2f %% of the %d epochs between two", row.Name, 100*look/between, cfg.EvalEvery)
		if look > between/100 {
			t.Errorf("%s: a look takes %g operations, the updates between two %g", row.Name, look, between)
		}
	}
	if bytes := (evalQueries + evalBank) * 224 * 224 * 3; bytes > evalMemory {
		t.Errorf("%d bytes of images at full size, at most %d are kept", bytes, evalMemory)
	}
}

// TestEvaluatorSeesTheImagesOfTheValidationSplit: the images of the online probe are those that the
// evaluation sees, one by one.
func TestEvaluatorSeesTheImagesOfTheValidationSplit(t *testing.T) {
	cfg, _ := fashionRun(t, func(c *settings.Config) { c.ProbeBatch = 10 })
	j := openTestJob(t, cfg)
	got, err := j.samples(t.Context(), machine.ValidationSplit, 20)
	if err != nil {
		t.Fatal(err)
	}
	loader, _, err := j.evaluationLoader(machine.ValidationSplit)
	if err != nil {
		t.Fatal(err)
	}
	const size = 28 * 28 * 3
	var labels []int32
	var images []byte
	count := map[int32]int{}
	for b, err := range loader.Batches(t.Context(), 0, loader.StepsPerEpoch()) {
		if err != nil {
			t.Fatal(err)
		}
		for i, label := range b.Labels[:b.N] {
			if count[label]++; count[label] <= 2 { // 20 samples of 10 classes
				labels, images = append(labels, label), append(images, b.Images[i*size:(i+1)*size]...)
			}
		}
	}
	if !slices.Equal(got.labels, labels) || !slices.Equal(got.images, images) {
		t.Errorf("got labels %v, want %v, or other images", got.labels, labels)
	}
}

// openTestJob opens the data and the device of a run.
func openTestJob(t *testing.T, cfg settings.Config) *Job {
	t.Helper()
	j := &Job{cfg: cfg, log: testLog(t)}
	if err := j.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.close(context.Background()) })
	return j
}

// TestInterruptedEvaluationIsTakenAgain: a look that a stop interrupts, whatever it was doing,
// leaves nothing behind, and the next attempt takes it as if nothing had been; a look that was
// taken is not taken again.
func TestInterruptedEvaluationIsTakenAgain(t *testing.T) {
	cfg, bucket := fashionRun(t, func(c *settings.Config) { c.Batch = 8 })
	j := openTestJob(t, cfg)
	j.run = checkpoint.OpenRun(bucket, cfg.Run, "a", j.log)
	at, err := j.restore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	health, err := j.newHealth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var lines []any
	j.journal.follow(func(line any) { lines = append(lines, line) })

	stopped, stop := context.WithCancelCause(t.Context())
	stop(ErrStopped)
	first := j.newEvaluator(stopped, at.progress, 21, 105)
	if err := first.evaluate(stopped, health.monitor, at); !errors.Is(err, ErrStopped) {
		t.Fatalf("a look after a stop: %v", err)
	}
	first.stop()
	first.close()
	if len(lines) > 0 || at.progress.Eval != nil {
		t.Fatalf("an interrupted look left %+v", lines)
	}
	for range 2 {
		next := j.newEvaluator(t.Context(), at.progress, 21, 105)
		if err := next.evaluate(t.Context(), health.monitor, at); err != nil {
			t.Fatal(err)
		}
		for pending, err := next.pending(); pending || err != nil; pending, err = next.pending() {
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		next.close()
	}
	if len(lines) != 1 {
		t.Fatalf("%d looks, want one: %+v", len(lines), lines)
	}
	got := lines[0].(record.Eval)
	if d := cmp.Diff(*at.progress.Eval, got); d != "" {
		t.Errorf("the checkpoint's look is another:\n%s", d)
	}
	// Nothing depends on how the images are passed through the encoder.
	again := j.newEvaluator(t.Context(), &Progress{}, 21, 105)
	defer again.close()
	at.progress = again.progress
	if err := again.evaluate(t.Context(), health.monitor, at); err != nil {
		t.Fatal(err)
	}
	if err := again.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if second := again.progress.Eval; second.ProbeTop1 != got.ProbeTop1 || *second.KNNTop1 != *got.KNNTop1 {
		t.Errorf("the same look again gives %+v, and gave %+v", second, got)
	}
	at.step = 20
	if err := again.evaluate(t.Context(), health.monitor, at); err != nil || again.fitted != nil {
		t.Errorf("a look in the middle of an epoch: %v", err)
	}
}
