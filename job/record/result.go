package record

import (
	"encoding/json"
	"time"
)

// Result is result.json, the last write of a run. Metrics are the same however often the run was
// preempted; Stats are not. R is the recipe, as in RunRecord.
type Result[R any] struct {
	Version  int      `json:"version"`
	Run      string   `json:"run"`
	Preset   string   `json:"preset"`
	Recipe   R        `json:"recipe"`
	Data     Data     `json:"data"`
	Metrics  Metrics  `json:"metrics"`
	PostTop1 *float64 `json:"post_top1"` // the post's top-1 of the preset, if the data is what the post used
	Stats    RunStats `json:"stats"`
	Versions Versions `json:"versions"`
	Device   string   `json:"device"`
	Teacher  *Teacher `json:"teacher,omitempty"` // of a probe that is no phase of a run; Metrics of pretraining are empty then

	Predictions *Predictions `json:"predictions,omitempty"` // nil: of a program that did not write them yet
	Pictures    *Pictures    `json:"pictures,omitempty"`    // nil: none were drawn
}

// Predictions names the object that holds what each classifier says of every validation image.
type Predictions struct {
	File   string `json:"file"` // from the folder of the result
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
}

// Data is the data set of a run.
type Data struct {
	Fingerprint       string `json:"fingerprint"` // sha256 of index.json
	Classes           int    `json:"classes"`
	ClassesSHA256     string `json:"classes_sha256"` // of the class names in label order, each with a newline
	TrainSamples      int    `json:"train_samples"`
	ValidationSamples int    `json:"validation_samples"`
	// ClassList says which known list the classes are, in words; empty for another one.
	ClassList string `json:"class_list,omitempty"`
	// SmallImages is the number of images with a short side below 224 pixels, if they are more than
	// half and the run sees them larger.
	SmallImages int `json:"small_images,omitempty"`
	// Warnings are what may be a mistake in the data, in words.
	Warnings []string `json:"warnings,omitempty"`
}

// Metrics are the scores of a run, in percent where not said otherwise. A run on data without
// labels has none: see Scored.
type Metrics struct {
	Top1          float64        `json:"top1"` // linear probe on the deepest depth of the frozen teacher
	Top5          float64        `json:"top5"`
	StandardError float64        `json:"top1_standard_error"` // of a share of the validation samples
	UntrainedTop1 float64        `json:"untrained_top1"`      // the same probe on the encoder before its first update
	KNNTop1       *float64       `json:"knn_top1"`
	UntrainedKNN  *float64       `json:"untrained_knn_top1"`
	GainError     *float64       `json:"gain_standard_error,omitempty"`     // of Top1 - UntrainedTop1, paired by image; nil: of an older program
	KNNGainError  *float64       `json:"knn_gain_standard_error,omitempty"` // of KNNTop1 - UntrainedKNN, likewise
	Verdict       string         `json:"verdict,omitempty"`                 // of Judge; empty in a result of an older program too
	Ridge         *Ridge         `json:"ridge,omitempty"`                   // nil: only whitened probes of small images have it
	Depths        []DepthMetrics `json:"depths"`
	Loss          *float64       `json:"loss"`  // of the last update; the target moves, so it ranks nothing
	Table         [][]*float64   `json:"table"` // last seen MSE, [source depth][target depth]
	Updates       int64          `json:"updates"`
	PathwayCounts []int64        `json:"pathway_updates"`
	Skipped       int64          `json:"skipped_updates"`
	TeacherSHA256 string         `json:"teacher_sha256"` // of teacher.safetensors
	StateSHA256   string         `json:"state_sha256"`   // of all weights, moments and counts after the last update
}

// Scored reports whether the teacher was probed, so that the scores are figures. They are absent in
// the result of a run on data without labels.
func (m Metrics) Scored() bool { return len(m.Depths) > 0 }

// MarshalJSON leaves out scores that there are not.
func (m Metrics) MarshalJSON() ([]byte, error) {
	type all Metrics
	if m.Scored() {
		return json.Marshal(all(m))
	}
	type absent *struct{}
	return json.Marshal(struct {
		all
		Top1          absent `json:"top1,omitempty"`
		Top5          absent `json:"top5,omitempty"`
		StandardError absent `json:"top1_standard_error,omitempty"`
		UntrainedTop1 absent `json:"untrained_top1,omitempty"`
		KNNTop1       absent `json:"knn_top1,omitempty"`
		UntrainedKNN  absent `json:"untrained_knn_top1,omitempty"`
		Depths        absent `json:"depths,omitempty"`
	}{all: all(m)})
}

// Ridge holds top-1 of ridge regression, a linear classifier in closed form, on the images of the
// kNN: of features of the deepest depth, and of what an encoder starts from.
type Ridge struct {
	Top1          float64 `json:"top1"`
	UntrainedTop1 float64 `json:"untrained_top1"`
	PatchesTop1   float64 `json:"patches_top1"` // raw patches, averaged over their places as tokens are
	PixelsTop1    float64 `json:"pixels_top1"`  // raw grey values in place
}

// DepthMetrics is the probe of one collected depth.
type DepthMetrics struct {
	Depth         int     `json:"depth"`
	Top1          float64 `json:"top1"`
	Top5          float64 `json:"top5"`
	UntrainedTop1 float64 `json:"untrained_top1"`
}

// RunStats is how the run went.
type RunStats struct {
	Begun           time.Time `json:"begun"`
	Ended           time.Time `json:"ended"`
	Environments    []string  `json:"environments"`              // what computed it; only a run with one is exact to the bit
	Attempts        int       `json:"attempts"`                  // starts of the program that began or restored the run, this one too
	UpdatesLost     int64     `json:"updates_lost"`              // computed and not committed, as far as the metrics tell
	Killed          int       `json:"killed_attempts,omitempty"` // of them; what one computed after its last flush is in no count
	Fallbacks       int       `json:"damaged_checkpoints"`
	BadSamples      int64     `json:"bad_samples"`             // undecodable images of the train split, each counted once
	Alarms          int       `json:"alarms"`                  // lines of alarms
	PretrainSeconds float64   `json:"pretrain_seconds"`        // of updates that were committed
	PretrainDevice  float64   `json:"pretrain_device_seconds"` // of these, in programs of the device
	ProbeSeconds    float64   `json:"probe_seconds"`
	ProbeDevice     float64   `json:"probe_device_seconds"`
	ScoreSeconds    float64   `json:"score_seconds"` // of probes and kNN on the validation split
	ScoreDevice     float64   `json:"score_device_seconds"`
	ImagesPerSecond float64   `json:"images_per_second"`   // of pretraining
	DataWait        float64   `json:"data_wait"`           // share of pretraining spent waiting for images
	MFU             *float64  `json:"mfu"`                 // share of the device's peak in pretraining; null: no peak is known
	DeviceMemory    int64     `json:"device_memory_bytes"` // most that an attempt has held; 0: not reported
	MachineSeconds  float64   `json:"machine_seconds"`     // of all attempts, each up to its end or its newest checkpoint
	Cost            *float64  `json:"cost"`                // of them, at the price of each attempt; null: no price was given
}
