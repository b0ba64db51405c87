package job

import (
	"slices"

	"github.com/cijepa/cijepa/job/alarm"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
)

// Progress is what a run counts beside its state. It travels in every checkpoint, so that the next
// attempt goes on counting where the checkpoint was taken.
type Progress struct {
	Environments []string `json:"environments"` // of all attempts, in order, see Job.environment
	Fallbacks    int      `json:"fallbacks"`    // damaged checkpoints that were passed over

	Pretrained int64 `json:"pretrained"` // updates done

	Loss    *float64     `json:"loss"`            // of the newest update
	Table   [][]*float64 `json:"table"`           // [L][L] last seen MSE, source depth x target depth; null: not yet
	Updates []int64      `json:"pathway_updates"` // by source depth
	Skipped int64        `json:"skipped_updates"`

	Alarms alarm.State  `json:"alarms"`
	Eval   *record.Eval `json:"eval"` // the newest evaluation

	// These can stop a run. They count through all attempts, or a run that is preempted often would
	// never be stopped.
	SkippedInARow int   `json:"skipped_in_a_row"`  // newest updates without a finite gradient
	Bad           []int `json:"bad_train_samples"` // of the train split, found undecodable, by number

	PretrainSeconds float64 `json:"pretrain_seconds"`
	PretrainDevice  float64 `json:"pretrain_device_seconds"` // of them, in programs of the device
	WaitSeconds     float64 `json:"wait_seconds"`            // of pretraining, for images
	ProbeSeconds    float64 `json:"probe_seconds"`
	ProbeDevice     float64 `json:"probe_device_seconds"`
	StateSHA256     string  `json:"state_sha256,omitempty"` // of the state after the last update
}

func newProgress(c settings.Config) *Progress {
	p := &Progress{Table: make([][]*float64, len(c.Depths)), Updates: make([]int64, len(c.Depths))}
	for i := range p.Table {
		p.Table[i] = make([]*float64, len(c.Depths))
	}
	return p
}

// observe counts one update.
func (p *Progress) observe(depths settings.DepthSet, sources []int, out model.StepOutput) {
	p.Pretrained++
	p.Loss = record.Finite(out.Loss)
	if out.Skipped {
		p.Skipped++
		p.SkippedInARow++
		return
	}
	p.SkippedInARow = 0
	for row, source := range sources {
		i := slices.Index(depths, source)
		p.Updates[i]++
		p.Table[i] = record.FiniteAll(out.Table[row]) // a new row: lines of the journal share the old one
	}
}

// took adds the time of one update of a phase: seconds on the clock, seconds of them in programs of
// the device, and seconds that the loop waited for its batch.
func (p *Progress) took(phase string, seconds, device, wait float64) {
	if phase == record.Probing {
		p.ProbeSeconds += seconds
		p.ProbeDevice += device
		return
	}
	p.PretrainSeconds += seconds
	p.PretrainDevice += device
	p.WaitSeconds += wait
}
