// Package settings holds all settings of a run: Config, its defaults and presets, and how it is
// read from the environment. It is the only package that reads the environment. It opens nothing.
//
//	config.go       Recipe and Config, their defaults, and what follows from them
//	preset.go       the rows of the post's table, and the demonstration
//	load.go         the environment over defaults and preset
//	sweep.go        a file of lines of settings, each laid over the environment
//	validate.go     the range of each setting
//	error.go        Error: all faults of the settings in one message
//	setting.go      a field of Config and its variable
//	teacher.go      the name of a teacher, and the settings of its probe
//	values.go       the types of settings that Go lacks: depths, weights, ranges, bytes
//	usage.go        the tables that cijepa config prints; SETTINGS.md holds them
//	environment.go  settings as the variables that set them
//	runrecord.go    run.json and result.json against the settings
//	format.go       numbers, bytes and times in messages
package settings

import (
	"time"

	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/mask"
)

// Recipe holds the settings that change what a run computes. It is written to run.json when the run
// begins, and the run cannot go on under another one. Fields tagged of:"method" are choices of the
// method; the others are what a researcher turns.
type Recipe struct {
	Data string `desc:"Prefix of the shards in the data bucket; index.json lies there."`
	Seed uint64 `desc:"Seed of everything random: weights, order, crops, masks, depths, probe."`

	Epochs           int      `desc:"Epochs of pretraining; the last partial batch of each is dropped."`
	Depths           DepthSet `desc:"The hierarchy D: depths that are sources and targets, such as 1-11 or 0,3,5-7, counted from 0; the last is the last block, DEPTH-1. Not set: from the preset's first depth to the last block."`
	AllToLastWeight  Weight   `desc:"Weight alpha of the deepest target in every source row, 0 to 1; - leaves rows uniform."`
	LastToLastWeight Weight   `desc:"Weight beta of the deepest target in the deepest source row, 0 to 1; - takes ALL_TO_LAST_WEIGHT's."`
	IntermediateRows int      `desc:"Source depths sampled in a step beside the deepest one."`
	TargetNorm       bool     `desc:"LayerNorm of the teacher's features before they are predicted." of:"method"`
	Image            int      `desc:"Side of a training image in pixels."`
	Patch            int      `desc:"Side of a patch in pixels."`
	Width            int      `desc:"Width of the encoder."`
	Depth            int      `desc:"Blocks of the encoder."`
	Heads            int      `desc:"Attention heads of the encoder."`
	PredictorWidth   int      `desc:"Width of a predictor."`
	PredictorDepth   int      `desc:"Blocks of a predictor."`
	PredictorHeads   int      `desc:"Attention heads of a predictor."`
	ContextScale     Range    `desc:"Area of the context block, as a share of the grid." of:"method"`
	TargetScale      Range    `desc:"Area of a target block, as a share of the grid." of:"method"`
	TargetAspect     Range    `desc:"Height over width of a target block." of:"method"`
	Trim             string   `desc:"How contexts get one length: fixed (by target length) or official (shortest of 128)." of:"method"`
	Batch            int      `desc:"Images of an update."`
	MicroBatch       int      `desc:"Images of one pass; gradients add up to BATCH. 0: what fits a GPU when the run begins, elsewhere the whole batch."`
	Remat            bool     `desc:"Recompute activations in the backward pass: less memory, more time, other last bits."`
	PlainAttention   bool     `desc:"Attention as products and softmax on a GPU too, not as cuDNN's flash attention: more memory, more time, other last bits."`
	PeakLR           float64  `desc:"Learning rate at the end of the warm-up."`
	FinalLR          float64  `desc:"Learning rate of the last update." of:"method"`
	Warmup           float64  `desc:"Share of the updates in which the learning rate rises." of:"method"`
	WeightDecay      float64  `desc:"Decoupled weight decay, on all but biases and one-dimensional weights." of:"method"`
	EMAMomentum      float64  `desc:"EMA momentum of the teacher at the first update." of:"method"`
	Precision        string   `desc:"Matrix products in bfloat16 or float32; everything else is float32." of:"method"`
	Window           int      `desc:"Shards whose samples are shuffled together." of:"method"`
	CropScale        Range    `desc:"Area of a pretraining crop, as a share of the image." of:"method"`
	ProbeEpochs      int      `desc:"Epochs of the linear probe." of:"method"`
	ProbeBatch       int      `desc:"Images of an update of the probe." of:"method"`
	ProbeLR          float64  `desc:"Learning rate of the probe's first update; it falls to 0." of:"method"`
	ProbeCropScale   Range    `desc:"Area of a crop in probe training, as a share of the image." of:"method"`
	ProbeWhiten      bool     `json:",omitempty" desc:"Whiten features, by a sample of training images, before the linear probe, which then needs fewer updates. Ridge stands beside it then." of:"method"`
	ProbeShare       float64  `desc:"Share of the labels from which probe and kNN learn, the same number of every class, by seed; 0: all." of:"method"`
	KNNK             int      `desc:"Neighbours of the cosine kNN that stands beside the probe; 0: none." of:"method"`
	KNNBank          int      `desc:"Training images that the kNN compares with, from the start of the split; 0: all." of:"method"`
}

// Config holds all settings of a run. The defaults reproduce run R-A05-B08, the best of the post
// (model/reference/METHOD.md).
type Config struct {
	Preset string `desc:"Row of the post's table to start from (see below), or demo."`
	Sweep  string `desc:"File of lines of settings, a run each: JOB_COMPLETION_INDEX names the line, from 0, that is laid over the environment."`
	Recipe

	Bucket     string      `desc:"URL of the bucket of runs: s3://, gs://, azblob://, file:// or mem://, with the driver's parameters."`
	DataBucket string      `desc:"URL of the bucket of shards; empty: BUCKET."`
	Run        string      `desc:"Name of the run, its folder in the bucket; empty: preset and seed."`
	Teacher    TeacherName `desc:"What cijepa probe probes: runs/NAME (of BUCKET; its end), runs/NAME@STEP (a checkpoint that is kept), or the URL of a safetensors file; empty: RUN."`

	Backend      string        `desc:"GoMLX backend: go:parallelism=64 (no GPU needed), or xla:/path/of/xla_cuda_plugin.so with its options."`
	CacheDir     string        `desc:"Folder of the shard cache and of compiled programs; empty: cijepa in the user's cache folder. file:// shards are read in place."`
	CacheSize    Bytes         `desc:"Most bytes of the shard cache, such as 20GB; 0: as much as the shards need."`
	BadLimit     float64       `desc:"Share of undecodable images above which the run stops."`
	SaveEvery    time.Duration `desc:"Time between checkpoints."`
	KeepEvery    int           `desc:"Epochs between checkpoints that are never deleted."`
	StopGrace    time.Duration `desc:"Time from SIGTERM to SIGKILL: terminationGracePeriodSeconds, or docker's --stop-timeout. The last checkpoint ends 3 s before, or is skipped when it cannot."`
	RetryTimeout time.Duration `desc:"Time that one storage operation is retried before the run gives up with exit code 74."`
	LogEvery     int           `desc:"Steps between log lines and metrics."`
	EvalEvery    int           `desc:"Epochs between online evaluations: a linear classifier and a kNN on the teacher's deepest features of 1,000 held-out images; 0: none."`
	Pictures     bool          `desc:"Draw, at the end of a run, what the encoders make of a few images; false where small copies of images may not leave the data bucket."`
	Listen       string        `desc:"Address, such as :9090, on which the run shows itself: /metrics for Prometheus, /healthz, / for people; empty: none."`
	Log          string        `desc:"Form of the log: text or json; empty: text on a terminal, elsewhere json."`
	Node         string        `desc:"Name of the machine, for the log and the record of attempts; Kubernetes gives it."`
	PricePerHour float64       `desc:"What an hour of the machine costs, in any currency: check says what the run will cost, and the run what it has cost; 0: not known."`

	frozen bool // nothing trains the encoder, so that DEPTHS may end before its last block
}

// Defaults returns the settings of run R-A05-B08 at full size: ViT-B/16 on ImageNet-100.
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
		Backend: "go:parallelism=64", BadLimit: 0.001,
		SaveEvery: 5 * time.Minute, KeepEvery: 50, StopGrace: 15 * time.Second,
		RetryTimeout: 10 * time.Minute, LogEvery: 50, EvalEvery: 5, Pictures: true,
	}
}

// Constants of the method.
const (
	mlpRatio     = 4     // hidden width of an MLP over its width
	ropeTheta    = 10000 // base of the rotary frequencies
	lastMomentum = 1     // EMA momentum that the last update approaches
)

// Model returns the sizes and the objective as package model takes them.
func (c Config) Model() model.Config {
	masks := mask.Default()
	masks.ContextScale, masks.TargetScale, masks.TargetAspect = c.ContextScale, c.TargetScale, c.TargetAspect
	masks.Trim = c.Trim
	return model.Config{
		Image: c.Image, Patch: c.Patch, Width: c.Width, Depth: c.Depth, Heads: c.Heads, MLPRatio: mlpRatio,
		PredictorWidth: c.PredictorWidth, PredictorDepth: c.PredictorDepth, PredictorHeads: c.PredictorHeads,
		RopeTheta: ropeTheta, Depths: c.Depths, AllToLastWeight: c.AllToLastWeight.Value,
		LastToLastWeight: c.LastToLastWeight.Value, IntermediateRows: c.IntermediateRows, TargetNorm: c.TargetNorm,
		Masks: masks,
		Batch: c.Batch, MicroBatch: c.MicroBatch, Precision: c.Precision, Remat: c.Remat,
		PlainAttention: c.PlainAttention, WeightDecay: c.WeightDecay,
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

// StartLR is the learning rate of the first update: a tenth of the peak.
func (c Config) StartLR() float64 { return c.PeakLR / 10 }

// stopMargin is what a stop leaves of its grace: the last record, and the way out.
const stopMargin = 3 * time.Second

// StopDeadline is how long after SIGTERM the last checkpoint may take.
func (c Config) StopDeadline() time.Duration { return max(0, c.StopGrace-stopMargin) }

// SaveTimeout is how long a run goes on without a committed checkpoint, while uploads fail.
func (c Config) SaveTimeout() time.Duration { return 6 * c.RetryTimeout }

// Schedule returns the learning rates and the EMA momentum of a run of total updates.
func (c Config) Schedule(total int64) model.Schedule {
	return model.Schedule{
		Total: total, Warmup: int64(c.Warmup * float64(total)), Start: c.StartLR(), Peak: c.PeakLR, Final: c.FinalLR,
		StartMomentum: c.EMAMomentum, EndMomentum: lastMomentum,
	}
}
