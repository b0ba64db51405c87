package record

// Series is one number that the lines of a kind carry over a run, and the names under which readers
// see it. Package board, package live and package report show a number by its entry here, so a new
// one needs a field of the line and an entry.
//
// L is the kind of line. V is *float64, or []*float64 for a number by collected depth; nil is a
// value that is not known.
type Series[L, V any] struct {
	Field string // of the line, in JSON
	Of    func(line L) V
	Probe bool // lines of the probe have it too

	// Tag is the name in TensorBoard, followed by /depth_DD if it is by depth; empty: not shown.
	// TensorBoard groups tags by their first word and sorts the groups: what says how the run
	// learns comes first, and how the machine does last.
	Tag string

	// Metric is the name in Prometheus after cijepa_; empty: not exported. A gauge that the probe
	// has too is labelled by phase. A counter is of the whole run and taken of the lines of
	// pretraining.
	Metric  string
	Help    string
	Counter bool

	Title      string // of its chart in the report of a run; empty: it has none
	Note       string // what a reader must know to read the chart right
	Unit       string // of the y axis, which begins at zero if FromZero
	FromZero   bool
	Line       string // its name in a chart of several series
	ProbeTitle string // of its chart in the probe; empty: it has none
	File       string // of the chart that compares runs; empty: there is none

	Scale Scale
}

// Scale is how a share is written in lines and in TensorBoard. Charts show percent, Prometheus
// ratios.
type Scale int

const (
	AsIs    Scale = iota // no share
	Ratio                // 0 to 1
	Percent              // 0 to 100
)

// Charted is a value as charts show it.
func (s Scale) Charted(v float64) float64 {
	if s == Ratio {
		return 100 * v
	}
	return v
}

// Exported is a value as Prometheus is given it.
func (s Scale) Exported(v float64) float64 {
	if s == Percent {
		return v / 100
	}
	return v
}

const depthNote = "A line for each depth; the deepest is the strongest."

// StepSeries are the numbers of a Step but for those by source and target depth.
var StepSeries = []Series[Step, *float64]{
	{Field: "epoch", Of: func(s Step) *float64 { return &s.Epoch }, Probe: true,
		Metric: "epoch", Help: "Epochs of the phase that are done."},
	{Field: "loss", Of: func(s Step) *float64 { return s.Loss }, Probe: true, Tag: "1_train/loss",
		Metric: "loss", Help: "Loss of the update at the newest line.",
		Title: "Loss", ProbeTitle: "Loss of the linear probe", Unit: "loss", File: "loss",
		Note: "Its target moves: a lower loss is no better run."},
	{Field: "lr", Of: func(s Step) *float64 { return &s.LR }, Probe: true, Tag: "1_train/learning_rate",
		Metric: "learning_rate", Help: "Learning rate.",
		Title: "Learning rate", Unit: "lr", FromZero: true},
	{Field: "images_per_second", Of: func(s Step) *float64 { return &s.ImagesPerSecond }, Probe: true,
		Tag: "z_ops/images_per_second", Metric: "images_per_second",
		Help:  "Images of updates a second, since the line before.",
		Title: "Throughput", Unit: "images/s", FromZero: true, File: "throughput"},
	{Field: "data_wait", Of: func(s Step) *float64 { return &s.DataWait }, Probe: true, Scale: Ratio,
		Tag: "z_ops/data_wait", Metric: "data_wait_ratio",
		Help:  "Share of the time that updates waited for images, since the line before.",
		Title: "Waiting for images", Unit: "% of the time", FromZero: true},
	{Field: "mfu", Of: func(s Step) *float64 { return s.MFU }, Scale: Ratio, Tag: "z_ops/mfu",
		Metric: "mfu_ratio", Help: "Share of the device's peak that the model's operations take, since the line before.",
		Title: "Model FLOPs utilisation", Unit: "% of the peak", FromZero: true},
	{Field: "device_memory_bytes", Of: func(s Step) *float64 { return s.DeviceMemory }, Probe: true, Tag: "z_ops/device_memory_bytes",
		Metric: "device_memory_peak_bytes", Help: "Most memory of the device that this process has held."},
	{Field: "cost", Of: func(s Step) *float64 { return s.Cost }, Probe: true, Tag: "z_ops/cost",
		Metric: "cost", Help: "What the machines of the run have cost so far, in the currency of CIJEPA_PRICE_PER_HOUR."},
	{Field: "bad_samples", Of: func(s Step) *float64 { return count(s.Bad) }, Probe: true, Tag: "z_ops/bad_samples",
		Metric: "bad_samples_total", Help: "Images that could not be decoded.", Counter: true},
	{Field: "ema_momentum", Of: func(s Step) *float64 { return &s.EMAMomentum }, Tag: "1_train/ema_momentum",
		Metric: "ema_momentum", Help: "EMA momentum of the teacher."},
	{Field: "skipped_updates", Of: func(s Step) *float64 { return count(s.Skipped) }, Tag: "z_ops/skipped_updates",
		Metric: "skipped_updates_total", Help: "Updates of the run whose gradient was not finite.", Counter: true},
}

// HealthSeries are the numbers of a Health, by collected depth.
var HealthSeries = []Series[Health, []*float64]{
	{Field: "feature_std", Of: func(h Health) []*float64 { return h.Std }, Tag: "feature_std",
		Metric: "feature_std",
		Help:   "Standard deviation over images of the teacher's pooled features; collapsed when near 0.",
		Title:  "Standard deviation of the teacher's features", Unit: "standard deviation", FromZero: true,
		Note: "Over images, healthy from 0.3 to 1. " + depthNote},
	{Field: "effective_rank", Of: func(h Health) []*float64 { return h.Rank }, Tag: "effective_rank",
		Metric: "effective_rank", Help: "Effective rank of the teacher's pooled features.",
		Title: "Effective rank of the teacher's features", Unit: "effective rank", FromZero: true, Note: depthNote},
	{Field: "residual_rms", Of: func(h Health) []*float64 { return h.RMS }, Tag: "residual_rms",
		Metric: "residual_rms", Help: "Root mean square of the teacher's residual stream.",
		Title: "Residual stream", Unit: "RMS", FromZero: true, Note: depthNote},
}

// EvalSeries are the numbers of an Eval. One chart of a run shows them together.
var EvalSeries = []Series[Eval, *float64]{
	{Field: "probe_top1", Of: func(e Eval) *float64 { return &e.ProbeTop1 }, Scale: Percent,
		Tag: "2_eval/probe_top1", Metric: "eval_probe_top1_ratio",
		Help:  "Share of held-out images that the online probe gets right.",
		Title: "Online probe", Note: "Of the teacher's deepest features, on held-out images.",
		Unit: "top-1, %", Line: "probe", File: "eval"},
	{Field: "knn_top1", Of: func(e Eval) *float64 { return e.KNNTop1 }, Scale: Percent,
		Tag: "2_eval/knn_top1", Metric: "eval_knn_top1_ratio",
		Help: "Share of held-out images that the online kNN gets right.",
		Unit: "top-1, %", Line: "kNN"},
}

func count(n int64) *float64 {
	v := float64(n)
	return &v
}
