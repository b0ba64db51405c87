package record

import "time"

// The files of metrics/ by name. An object is <name>-<attempt>-<n>.jsonl, one for each flush. After
// a kill the next attempt computes some updates again and writes their lines again: of two lines
// with the same step, the newer attempt's counts.
const (
	Steps    = "steps"
	Healths  = "health"
	Evals    = "eval"
	Alarms   = "alarms"
	Attempts = "attempt"
	Failures = "failure"
)

// The phases of a run, as lines and manifests name them.
const (
	Pretraining = "pretrain"
	Probing     = "probe"
)

// Step is one line of steps: the update at which a log line was due. A number that was not finite
// is null. StepSeries says how its numbers are shown.
type Step struct {
	Phase           string       `json:"phase"`
	Step            int64        `json:"step"` // updates done in the phase
	Epoch           float64      `json:"epoch"`
	Loss            *float64     `json:"loss"`
	LR              float64      `json:"lr"`
	EMAMomentum     float64      `json:"ema_momentum,omitempty"`
	ImagesPerSecond float64      `json:"images_per_second"`
	DataWait        float64      `json:"data_wait"`                     // share of the time since the last line
	MFU             *float64     `json:"mfu,omitempty"`                 // share of the device's peak, of pretraining
	DeviceMemory    *float64     `json:"device_memory_bytes,omitempty"` // most that this process has held
	Cost            *float64     `json:"cost,omitempty"`                // of the run so far, see RunStats
	Skipped         int64        `json:"skipped_updates"`
	Bad             int64        `json:"bad_samples"`
	Updates         []int64      `json:"pathway_updates,omitempty"` // by source depth, since the run began
	Table           [][]*float64 `json:"table,omitempty"`           // last seen MSE, [source depth][target depth]; null: none yet
}

// Health is one line of health: the teacher on a fixed batch at the end of an epoch, by collected
// depth. HealthSeries says how its numbers are shown.
type Health struct {
	Step   int64      `json:"step"`
	Epoch  int64      `json:"epoch"`
	Depths []int      `json:"depths"`
	Std    []*float64 `json:"feature_std"`    // over images, of the pooled features; healthy 0.3 to 1, 0 = collapse
	Rank   []*float64 `json:"effective_rank"` // of the pooled features
	RMS    []*float64 `json:"residual_rms"`   // of the residual stream
}

// Eval is one line of eval: a short linear probe and a kNN on the teacher's deepest features during
// pretraining, in percent. EvalSeries says how its numbers are shown.
type Eval struct {
	Step      int64    `json:"step"`
	Epoch     int64    `json:"epoch"`
	ProbeTop1 float64  `json:"probe_top1"`
	KNNTop1   *float64 `json:"knn_top1"`        // null when the settings ask for no neighbours
	Bank      int      `json:"bank"`            // training images that both learn from
	Images    int      `json:"images"`          // held-out images that both are scored on
	Seconds   float64  `json:"seconds"`         // for which training was paused
	Solving   float64  `json:"solving_seconds"` // on the host, while training went on
}

// Alarm is one line of alarms: a number that is out of its healthy range. A lasting fault is
// written once, and again only after the number has been healthy in between.
type Alarm struct {
	Time  time.Time `json:"time"`
	Step  int64     `json:"step"`
	Epoch float64   `json:"epoch"`
	Alarm string    `json:"alarm"`            // its kind, see below
	Depth *int      `json:"depth,omitempty"`  // of the source pathway or the feature, where it has one
	To    *int      `json:"target,omitempty"` // target depth, where it is about a pair
	Value *float64  `json:"value"`            // null: not finite
	Limit float64   `json:"limit"`
	Text  string    `json:"text"` // one sentence with the numbers and what to do
}

// The kinds of alarms.
const (
	AlarmCollapse  = "collapse"   // features of a depth are nearly the same for all images
	AlarmRank      = "rank"       // features of a depth have a low effective rank
	AlarmResidual  = "residual"   // the residual stream grows out of bounds
	AlarmPathway   = "pathway"    // a source depth is sampled too often or too seldom
	AlarmTable     = "table"      // a pair is predicted worse than by zero, after the warm-up
	AlarmNotFinite = "not_finite" // updates are skipped again and again
	AlarmProbe     = "probe"      // the online probe falls
)

// Attempt is one line of attempt. An attempt writes one when it begins and, if it can, one when it
// ends before the run does.
type Attempt struct {
	Time  time.Time `json:"time"`
	Phase string    `json:"phase"`
	From  int64     `json:"from"`            // updates done in the phase when the attempt began
	Step  int64     `json:"step"`            // updates done now
	Saved *int64    `json:"saved,omitempty"` // at the end: updates in the checkpoint that it began from or last committed
	How   string    `json:"how,omitempty"`   // at the end: see below
	Node  string    `json:"node,omitempty"`  // the machine, where its name is known

	// Manifest is the number of the newest manifest that the attempt knows. It orders attempts of
	// machines whose clocks differ. It is 0 for a run without checkpoints.
	Manifest int64 `json:"manifest,omitempty"`
}

// Failure is one line of failure: a device that failed an attempt. The next attempt looks for those
// of its own machine.
type Failure struct {
	Time  time.Time `json:"time"`
	Node  string    `json:"node"`
	Error string    `json:"error"`
}

// How an attempt ends before the run does.
const (
	Stopped   = "stopped"   // by a signal
	Overtaken = "overtaken" // another attempt has committed since, and goes on
)
