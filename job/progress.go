package job

import (
	"slices"
	"time"

	"github.com/cijepa/cijepa/job/alarm"
	"github.com/cijepa/cijepa/job/machine"
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
	MachineSeconds  float64 `json:"machine_seconds"`        // of all attempts
	Cost            float64 `json:"cost"`                   // of them, at the price that each was given
	DeviceMemory    int64   `json:"device_memory_bytes"`    // most that an attempt has held
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

// accounts measures for a whole attempt what the machine costs and how well the device is used.
type accounts struct {
	began   time.Time // of the attempt
	seconds float64   // of earlier attempts, as the checkpoint has them
	cost    float64   // of these
	flops   float64   // of an image of an update, over the shapes of masks
	peak    float64   // of the device, in FLOP/s; 0: not known
}

// newAccounts begins to measure at the position from which the attempt goes on.
func (j *Job) newAccounts(p *Progress) (accounts, error) {
	a := accounts{began: j.started, seconds: p.MachineSeconds, cost: p.Cost}
	flops, err := j.cfg.Model().MeanFLOPs()
	if err != nil {
		return a, err
	}
	a.flops = flops
	if j.cfg.Precision == model.BFloat16 {
		a.peak = machine.PeakFLOPs(j.device.Card())
	}
	return a, nil
}

// account brings the time and the cost of the run's machines, and the peak of the device's memory,
// up to now.
func (j *Job) account(p *Progress) {
	spent := time.Since(j.accounts.began).Seconds()
	p.MachineSeconds = j.accounts.seconds + spent
	p.Cost = j.accounts.cost + spent/3600*j.cfg.PricePerHour
	if memory := j.device.Memory(); memory != nil {
		p.DeviceMemory = max(p.DeviceMemory, memory.Peak)
	}
}

// mfu is the share of the device's peak that pretraining takes at a pace; nil where no peak is
// known.
func (j *Job) mfu(imagesPerSecond float64) *float64 {
	if j.accounts.peak == 0 {
		return nil
	}
	return record.Finite(imagesPerSecond * j.accounts.flops / j.accounts.peak)
}

// known is a copy of a figure that is above 0 where it is known; nil elsewhere.
func known(figure float64) *float64 {
	if figure == 0 {
		return nil
	}
	return &figure
}
