package job

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage/pack"
)

// smallRun makes a run small and short.
func smallRun(c *settings.Config) {
	c.Width, c.Depth, c.Depths, c.PredictorDepth, c.IntermediateRows, c.Epochs = 8, 2, settings.DepthSet{0, 1}, 1, 1, 1
}

// unlabelledRun is fashionRun on the same training images without labels and without a validation
// split.
func unlabelledRun(t *testing.T) settings.Config {
	t.Helper()
	cfg, bucket := fashionRun(t, smallRun)
	plain, err := settings.Load(settings.Demo, func(c *settings.Config) { c.Bucket = cfg.Bucket })
	if err != nil {
		t.Fatal(err)
	}
	cfg.Data, cfg.EvalEvery = "plain", 1
	cfg.ProbeEpochs, cfg.ProbeBatch, cfg.KNNK, cfg.KNNBank = plain.ProbeEpochs, plain.ProbeBatch, plain.KNNK, plain.KNNBank
	source, err := pack.FromIDX(nil, pack.IDX{Split: machine.TrainSplit, Images: firstOf(t, "train-images-idx3", 21*cfg.Batch, 16, 28*28)})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := pack.Pack(t.Context(), source, bucket, cfg.Data, pack.PackOptions{Labels: pack.Labels{Unlabelled: true}, PerShard: 30}); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestUnlabelledDataIsPretrainedOn: to the same state as with labels, which pretraining does not
// see. The result has no scores, there is no evaluation, and the features are still measured.
func TestUnlabelledDataIsPretrainedOn(t *testing.T) {
	t.Parallel()
	labelled, bucket := fashionRun(t, smallRun)
	if err := Run(t.Context(), labelled, record.Versions{}, testLog(t), nil); err != nil {
		t.Fatal(err)
	}
	want := resultOf(t, bucket)

	cfg := unlabelledRun(t)
	bucket = openBucket(t, cfg.Bucket)
	if err := Run(t.Context(), cfg, record.Versions{}, testLog(t), nil); err != nil {
		t.Fatal(err)
	}
	got := resultOf(t, bucket)
	if got.Metrics.StateSHA256 != want.Metrics.StateSHA256 || got.Metrics.TeacherSHA256 != want.Metrics.TeacherSHA256 {
		t.Errorf("the state is %s without labels and %s with them", got.Metrics.StateSHA256, want.Metrics.StateSHA256)
	}
	if got.Metrics.Scored() || !want.Metrics.Scored() || got.Data.Classes != 0 || got.Stats.ProbeSeconds != 0 {
		t.Errorf("scores: %+v of data %+v", got.Metrics, got.Data)
	}
	if got.Predictions != nil || want.Predictions == nil {
		t.Errorf("predictions %+v, and with labels %+v", got.Predictions, want.Predictions)
	}
	if n := len(linesOf[record.Eval](t, bucket, record.Evals)); n > 0 {
		t.Errorf("%d evaluations", n)
	}
	if n := len(linesOf[record.Health](t, bucket, record.Healths)); n != 2 {
		t.Errorf("%d lines of health, want 2", n)
	}
	text, err := bucket.Get(t.Context(), "runs/r/result.json")
	if err != nil {
		t.Fatal(err)
	}
	var raw struct{ Metrics map[string]any }
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"top1", "top5", "top1_standard_error", "untrained_top1", "knn_top1", "untrained_knn_top1", "depths"} {
		if v, there := raw.Metrics[field]; there {
			t.Errorf("result.json has %s %v", field, v)
		}
	}
	if raw.Metrics["loss"] == nil || raw.Metrics["verdict"] != nil {
		t.Errorf("metrics %v", raw.Metrics)
	}
	card, err := bucket.Get(t.Context(), "runs/r/README.md")
	if err != nil || strings.Contains(string(card), "top-1") || !strings.Contains(string(card), "168 training images, without labels") {
		t.Errorf("%v: the card is\n%s", err, card)
	}
	if p := got.Pictures; p == nil || p.Split != machine.TrainSplit || p.Neighbours != nil || len(p.Images) != 8 || p.Images[0].Class != "" {
		t.Errorf("the pictures are %+v", p)
	}

	// An attempt that is killed between the last checkpoint and the result is made again.
	if err := bucket.Delete(t.Context(), "runs/r/result.json"); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), cfg, record.Versions{}, testLog(t), nil); err != nil {
		t.Fatal(err)
	}
	if again := resultOf(t, bucket); again.Metrics.StateSHA256 != want.Metrics.StateSHA256 {
		t.Errorf("after a restart the state is %s", again.Metrics.StateSHA256)
	}
}

// TestUnlabelledDataHasNoProbe: settings of a probe that cannot be are refused, and so is a probe.
func TestUnlabelledDataHasNoProbe(t *testing.T) {
	t.Parallel()
	cfg := unlabelledRun(t)
	asked := cfg
	asked.ProbeShare, asked.KNNBank = 0.1, 7
	err := Run(t.Context(), asked, record.Versions{}, testLog(t), nil)
	if wrong := (*settings.Error)(nil); !errors.As(err, &wrong) || len(wrong.Faults) != 2 || !strings.Contains(err.Error(), "CIJEPA_PROBE_SHARE=0.1: of no use") {
		t.Errorf("settings of the probe: %v", err)
	}
	cfg.Teacher.Run = "r"
	err = Probe(t.Context(), cfg, "plain", record.Versions{}, testLog(t), nil)
	if wrong := (*settings.Error)(nil); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "a probe learns from them") {
		t.Errorf("a probe: %v", err)
	}
}
