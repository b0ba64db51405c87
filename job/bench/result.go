package bench

import (
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/model"
)

// result is what a benchmark found, the line that it prints. Times are in seconds. What the device
// does not report is null.
type result struct {
	Device   string          `json:"device"`
	Card     *string         `json:"card"`
	Driver   *string         `json:"driver"`
	Versions record.Versions `json:"versions"`

	Preset     string `json:"preset"`
	Batch      int    `json:"batch"`
	MicroBatch int    `json:"micro_batch"` // images of a pass
	Remat      bool   `json:"remat"`
	Precision  string `json:"precision"`
	Rows       int    `json:"rows"` // sampled intermediate source depths

	OpenSeconds    float64       `json:"open_seconds"`    // of the device
	StateSeconds   float64       `json:"state_seconds"`   // of the initial state, drawn and copied
	CompileSeconds float64       `json:"compile_seconds"` // of the steps' programs
	Shapes         []shapeResult `json:"shapes"`

	StepSeconds     float64  `json:"step_seconds"` // median of a shape, weighted by the shapes' probabilities
	ImagesPerSecond float64  `json:"images_per_second"`
	FLOPsPerImage   float64  `json:"flops_per_image"` // of matrix products and attention, by their sizes, without what Remat recomputes
	FLOPsPerSecond  float64  `json:"flops_per_second"`
	Peak            *float64 `json:"peak_flops_per_second"`
	MFU             *float64 `json:"mfu"` // share of the peak

	GapSeconds    float64 `json:"gap_seconds"`    // median from a step's return to the next one's call, its images uploaded meanwhile
	UploadSeconds float64 `json:"upload_seconds"` // median of the copy of a batch of images to the device, alone
	UploadBytes   int64   `json:"upload_bytes"`

	PauseSeconds float64             `json:"snapshot_pause_seconds"`    // of the steps, for a copy of the state: the longer of two
	SavingRate   float64             `json:"snapshot_bytes_per_second"` // at which such a copy comes to the host
	StateBytes   int64               `json:"state_bytes"`
	Memory       *model.DeviceMemory `json:"device_memory"`   // at the end
	Estimate     int64               `json:"memory_estimate"` // of the largest step, with a copy of the state: model.Config.Need
	Programs     []programResult     `json:"programs"`        // those that chose the micro-batch included

	Products       map[string]int `json:"products"` // matrix products of the programs, by the type of their operands
	FusedAttention int            `json:"fused_attention"`
	FirstLoss      *float64       `json:"first_loss"` // on noise for images, about 1.15; null: not finite
	LastLoss       *float64       `json:"last_loss"`
	Skipped        int            `json:"skipped"` // steps without a finite gradient
}

// shapeResult is what the step of one mask shape took.
type shapeResult struct {
	Target          int     `json:"target"`
	Context         int     `json:"context"`
	Probability     float64 `json:"probability"`
	CompileSeconds  float64 `json:"compile_seconds"`
	FirstSeconds    float64 `json:"first_seconds"` // of the first step
	StepSeconds     float64 `json:"step_seconds"`  // median
	FastestSeconds  float64 `json:"fastest_seconds"`
	SlowestSeconds  float64 `json:"slowest_seconds"`
	ImagesPerSecond float64 `json:"images_per_second"`
	FLOPsPerImage   float64 `json:"flops_per_image"`
}

// programResult is one compiled program.
type programResult struct {
	Seconds float64              `json:"seconds"`
	Stored  bool                 `json:"stored"` // it was read, not compiled
	Bytes   int                  `json:"stored_bytes"`
	Memory  *model.ProgramMemory `json:"memory"` // planned
}
