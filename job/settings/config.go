package settings

import (
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/job/live"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/mask"
)

// Prefix begins the name of every environment variable that the program reads.
const Prefix = "CIJEPA"

// Recipe is every setting that changes what a run computes. It is written to run.json when the run begins, and a run
// cannot be continued under another one.
type Recipe struct {
	Data string `desc:"Prefix of the shards in the data bucket; index.json lies there."`
	Seed uint64 `desc:"Seed of everything random: weights, order, crops, masks, depths, probe."`

	Epochs           int      `desc:"Epochs of pretraining; the last partial batch of each is dropped."`
	Depths           DepthSet `desc:"The hierarchy D: depths that are sources and targets, such as 1-11 or 0,3,5-7; the last is the deepest."`
	AllToLastWeight  Weight   `desc:"Weight alpha of the deepest target in every source row, 0 to 1; - leaves rows uniform."`
	LastToLastWeight Weight   `desc:"Weight beta of the deepest target in the deepest source row, 0 to 1; - takes ALL_TO_LAST_WEIGHT's."`
	IntermediateRows int      `desc:"Source depths sampled in a step beside the deepest one."`
	TargetNorm       bool     `desc:"LayerNorm of the teacher's features before they are predicted."`
	Image            int      `desc:"Side of a training image in pixels."`
	Patch            int      `desc:"Side of a patch in pixels."`
	Width            int      `desc:"Width of the encoder."`
	Depth            int      `desc:"Blocks of the encoder."`
	Heads            int      `desc:"Attention heads of the encoder."`
	PredictorWidth   int      `desc:"Width of a predictor."`
	PredictorDepth   int      `desc:"Blocks of a predictor."`
	PredictorHeads   int      `desc:"Attention heads of a predictor."`
	ContextScale     Range    `desc:"Area of the context block, as a share of the grid."`
	TargetScale      Range    `desc:"Area of a target block, as a share of the grid."`
	TargetAspect     Range    `desc:"Height over width of a target block."`
	Trim             string   `desc:"How contexts get one length: fixed (by target length) or official (shortest of 128)."`
	Batch            int      `desc:"Images of an update."`
	MicroBatch       int      `desc:"Images of one pass; gradients add up to BATCH. 0: what fits a GPU when the run begins, elsewhere the whole batch."`
	Remat            bool     `desc:"Recompute activations in the backward pass: less memory, more time, other last bits."`
	PlainAttention   bool     `desc:"Attention as products and softmax on a GPU too, not as cuDNN's flash attention: more memory, more time, other last bits."`
	PeakLR           float64  `desc:"Learning rate at the end of the warm-up."`
	FinalLR          float64  `desc:"Learning rate of the last update."`
	Warmup           float64  `desc:"Share of the updates in which the rate rises."`
	WeightDecay      float64  `desc:"Decoupled weight decay, on all but biases and one-dimensional weights."`
	EMAMomentum      float64  `desc:"EMA momentum of the teacher at the first update."`
	Precision        string   `desc:"Matrix products in bfloat16 or float32; everything else is float32."`
	Window           int      `desc:"Shards whose samples are shuffled together."`
	CropScale        Range    `desc:"Area of a pretraining crop, as a share of the image."`
	ProbeEpochs      int      `desc:"Epochs of the linear probe."`
	ProbeBatch       int      `desc:"Images of an update of the probe."`
	ProbeLR          float64  `desc:"Learning rate of the probe's first update; it falls to 0."`
	ProbeCropScale   Range    `desc:"Area of a crop in probe training, as a share of the image."`
	KNNK             int      `desc:"Neighbours of the cosine kNN that stands beside the probe; 0: none."`
	KNNBank          int      `desc:"Training images that the kNN compares with, from the start of the split; 0: all."`
}

// Config is everything a run is told. Defaults reproduce run R-A05-B08, the best of the post (model/reference/METHOD.md).
type Config struct {
	Preset string `desc:"Row of the post's table to start from (see below), demo, or table: the row that JOB_COMPLETION_INDEX names."`
	Recipe

	Bucket     string `desc:"URL of the bucket of runs: s3://, gs://, azblob://, file:// or mem://, with the driver's parameters."`
	DataBucket string `desc:"URL of the bucket of shards; empty: BUCKET."`
	Run        string `desc:"Name of the run, its folder in the bucket; empty: preset and seed."`

	Backend      string        `desc:"GoMLX backend: go:parallelism=64 (no GPU needed), or xla:/path/of/xla_cuda_plugin.so with its options."`
	CacheDir     string        `desc:"Folder of the shard cache; file:// shards are read in place."`
	CacheSize    Bytes         `desc:"Most bytes of the shard cache, such as 20GB; 0: as much as the shards need."`
	BadLimit     float64       `desc:"Share of undecodable images above which the run stops."`
	SaveEvery    time.Duration `desc:"Time between checkpoints."`
	KeepEvery    int           `desc:"Epochs between checkpoints that are never deleted."`
	StopDeadline time.Duration `desc:"Time for the last checkpoint after SIGTERM; it is skipped when it cannot fit."`
	RetryTimeout time.Duration `desc:"Time that one storage operation is retried before the run gives up with exit code 75."`
	LogEvery     int           `desc:"Steps between log lines and metrics."`
	EvalEvery    int           `desc:"Epochs between looks of the online probe: a linear classifier and a kNN on the teacher's deepest features of 1,000 held-out images; 0: none."`
	Listen       string        `desc:"Address, such as :9090, on which the run shows itself: /metrics for Prometheus, /healthz, / for people; empty: none."`
}

// Defaults is run R-A05-B08 at full size: ViT-B/16 on ImageNet-100.
func Defaults() Config {
	masks := mask.Default()
	return Config{
		Preset: "R-A05-B08",
		Recipe: Recipe{
			Data: "imagenet-100", Epochs: 200, Depths: span(1, 11),
			AllToLastWeight: weight(0.5), LastToLastWeight: weight(0.8), IntermediateRows: 2, TargetNorm: true,
			Image: 224, Patch: 16, Width: 768, Depth: 12, Heads: 12,
			PredictorWidth: 384, PredictorDepth: 6, PredictorHeads: 12,
			ContextScale: masks.ContextScale, TargetScale: masks.TargetScale, TargetAspect: masks.TargetAspect,
			Trim:  masks.Trim,
			Batch: 512, PeakLR: 5e-4, FinalLR: 1e-6, Warmup: 0.025, WeightDecay: 0.05,
			EMAMomentum: 0.996, Precision: "bfloat16",
			Window: 16, CropScale: Range{0.3, 1},
			ProbeEpochs: 10, ProbeBatch: 256, ProbeLR: 3e-3, ProbeCropScale: Range{0.08, 1}, KNNK: 20,
		},
		Backend: "go:parallelism=64", CacheDir: "/tmp/cijepa", BadLimit: 0.001,
		SaveEvery: 5 * time.Minute, KeepEvery: 50, StopDeadline: 12 * time.Second,
		RetryTimeout: 10 * time.Minute, LogEvery: 50, EvalEvery: 5,
	}
}

// Load reads the environment over the defaults and the preset, checks everything, and reports all faults in one
// *SettingsError. The preset argument is the one that holds when CIJEPA_PRESET is not set; adjust, if not nil, may fill
// in what a command knows better than the defaults before the environment is read.
func Load(preset string, adjust func(*Config)) (Config, error) {
	c := Defaults()
	if preset != "" {
		c.Preset = preset
	}
	if v, ok := os.LookupEnv(Prefix + "_PRESET"); ok {
		c.Preset = v
	}
	faults := &Error{}
	if err := c.applyPreset(os.Getenv("JOB_COMPLETION_INDEX")); err != nil {
		faults.Add(Prefix+"_PRESET", c.Preset, err.Error())
	}
	preset = c.Preset // table has become the row's name
	if adjust != nil {
		adjust(&c)
	}
	known := map[string]bool{}
	for _, f := range fields(reflect.ValueOf(&c).Elem()) {
		known[f.variable] = true
		if err := f.read(); err != nil {
			faults.addError(err)
		}
	}
	c.Preset = preset
	for _, entry := range os.Environ() {
		if v, _, _ := strings.Cut(entry, "="); strings.HasPrefix(v, Prefix+"_") && !known[v] {
			faults.Add(v, "", "not a setting; "+suggestion(v, known))
		}
	}
	if c.Run == "" {
		c.Run = fmt.Sprintf("%s-s%d", c.Preset, c.Seed)
	}
	if c.DataBucket == "" {
		c.DataBucket = c.Bucket
	}
	c.check(faults)
	return c, faults.OrNil()
}

// XLAFlags is the environment variable in which XLA reads its flags.
func XLAFlags() string { return os.Getenv("XLA_FLAGS") }

// StopDeadline is Config.StopDeadline as the environment says it, or the default: for who has to know it before, and whether or
// not, all settings can be read.
func StopDeadline() time.Duration {
	c := Defaults()
	for _, f := range fields(reflect.ValueOf(&c).Elem()) {
		if f.field.Name == "StopDeadline" && f.read() != nil {
			return Defaults().StopDeadline
		}
	}
	return c.StopDeadline
}

// typed is the value of a variable as it was typed.
func typed(variable string) (string, bool) { return os.LookupEnv(variable) }

// runName is what a run may be called: one folder of a bucket on every store.
var runName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// Choices of the method that no run turns.
const (
	mlpRatio     = 4     // hidden width of an MLP over its width
	ropeTheta    = 10000 // base of the rotary frequencies
	lastMomentum = 1     // EMA momentum that the last update approaches
)

// What is more is not meant, and products of it would leave the range of an int.
const (
	most = 1_000_000
	// mostNeighbours: the nearest of a sample are kept in a sorted list.
	mostNeighbours = 10_000
)

// check adds every fault that can be told from the settings alone.
func (c Config) check(faults *Error) {
	want := func(ok bool, field string, value any, what string) {
		if !ok {
			faults.Add(Variable(field), value, what)
		}
	}
	want(c.Bucket != "", "Bucket", c.Bucket, "the URL of a bucket, such as s3://name?region=eu-west-1 or file:///folder")
	want(runName.MatchString(c.Run), "Run", c.Run, "letters, digits, dots, dashes and underscores, 100 at most")
	want(c.Epochs > 0 && c.Epochs <= most, "Epochs", c.Epochs, "1 to a million")
	want(c.PeakLR > 0 && c.PeakLR <= 100, "PeakLR", c.PeakLR, "above 0, 100 at most")
	want(c.FinalLR >= 0 && c.FinalLR <= c.PeakLR, "FinalLR", c.FinalLR, "from 0 to PEAK_LR")
	want(c.Warmup >= 0 && c.Warmup < 1, "Warmup", c.Warmup, "a share from 0 to below 1")
	want(c.EMAMomentum >= 0 && c.EMAMomentum <= 1, "EMAMomentum", c.EMAMomentum, "from 0 to 1")
	want(c.Image <= input.MaxSize, "Image", c.Image, fmt.Sprintf("at most %d pixels", input.MaxSize))
	want(c.Data == "" || fs.ValidPath(c.Data) && c.Data != ".", "Data", c.Data, "a folder of the bucket, such as imagenet-100; empty: the bucket itself")
	want(c.Window > 0, "Window", c.Window, "at least 1")
	want(c.CropScale.within(0, 1), "CropScale", c.CropScale, "two shares, 0 < low <= high <= 1")
	want(c.ProbeCropScale.within(0, 1), "ProbeCropScale", c.ProbeCropScale, "two shares, 0 < low <= high <= 1")
	want(c.ProbeEpochs > 0 && c.ProbeEpochs <= most, "ProbeEpochs", c.ProbeEpochs, "1 to a million")
	want(c.ProbeBatch > 0 && c.ProbeBatch <= most, "ProbeBatch", c.ProbeBatch, "1 to a million")
	want(c.ProbeLR > 0 && c.ProbeLR <= 100, "ProbeLR", c.ProbeLR, "above 0, 100 at most")
	want(c.KNNK >= 0 && c.KNNK <= mostNeighbours, "KNNK", c.KNNK, fmt.Sprintf("0 to %d", mostNeighbours))
	want(c.KNNBank >= 0, "KNNBank", c.KNNBank, "0 or more")
	want(c.Backend != "go", "Backend", c.Backend, "go:ops_sequential or go:parallelism=64 (the bare go backend can deadlock)")
	want(c.BadLimit >= 0 && c.BadLimit <= 1, "BadLimit", c.BadLimit, "a share from 0 to 1")
	want(c.SaveEvery > 0, "SaveEvery", c.SaveEvery, "above 0, such as 5m")
	want(c.KeepEvery > 0 && c.KeepEvery <= most, "KeepEvery", c.KeepEvery, "1 to a million")
	want(c.StopDeadline >= 0, "StopDeadline", c.StopDeadline, "0 or more, such as 12s")
	want(c.RetryTimeout > 0, "RetryTimeout", c.RetryTimeout, "above 0, such as 10m")
	want(c.LogEvery > 0, "LogEvery", c.LogEvery, "at least 1")
	want(c.EvalEvery >= 0 && c.EvalEvery <= most, "EvalEvery", c.EvalEvery, "0 to a million")
	want(c.Listen == "" || live.CheckAddress(c.Listen) == nil, "Listen", c.Listen, "an address such as :9090 or 127.0.0.1:9090")
	if err := c.Model().Validate(); err != nil {
		faults.addModel(err)
	} else if _, err := c.Model().Masker(); err != nil {
		faults.addModel(err)
	}
}

// Model gives the sizes and the objective as package model takes them.
func (c Config) Model() model.Config {
	masks := mask.Default()
	masks.ContextScale, masks.TargetScale, masks.TargetAspect, masks.Trim = c.ContextScale, c.TargetScale, c.TargetAspect, c.Trim
	return model.Config{
		Image: c.Image, Patch: c.Patch, Width: c.Width, Depth: c.Depth, Heads: c.Heads, MLPRatio: mlpRatio,
		PredictorWidth: c.PredictorWidth, PredictorDepth: c.PredictorDepth, PredictorHeads: c.PredictorHeads,
		RopeTheta: ropeTheta, Depths: c.Depths, AllToLastWeight: c.AllToLastWeight.Value,
		LastToLastWeight: c.LastToLastWeight.Value, IntermediateRows: c.IntermediateRows, TargetNorm: c.TargetNorm,
		Masks: masks,
		Batch: c.Batch, MicroBatch: c.MicroBatch, Precision: c.Precision, Remat: c.Remat, PlainAttention: c.PlainAttention, WeightDecay: c.WeightDecay,
	}
}

// ImagesPerPass is the number of images of one pass: the micro-batch, or the whole batch where none
// is set.
func (c Config) ImagesPerPass() int {
	if c.MicroBatch == 0 {
		return c.Batch
	}
	return c.MicroBatch
}

// FusedAttention says whether attention runs as one operation of the device.
func (c Config) FusedAttention() bool { return c.Model().Fused(c.Backend) }

// StartLR is the learning rate of the first update.
func (c Config) StartLR() float64 { return c.PeakLR / 10 }

// SaveTimeout is the longest time without a committed checkpoint, while uploads fail, before a run stops.
func (c Config) SaveTimeout() time.Duration { return 6 * c.RetryTimeout }

// Schedule gives the rate and momentum of a run of total updates.
func (c Config) Schedule(total int64) model.Schedule {
	return model.Schedule{
		Total: total, Warmup: int64(c.Warmup * float64(total)), Start: c.StartLR(), Peak: c.PeakLR, Final: c.FinalLR,
		StartMomentum: c.EMAMomentum, EndMomentum: lastMomentum,
	}
}
