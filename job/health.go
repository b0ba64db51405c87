package job

import (
	"context"
	"fmt"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/model"
)

// healthImages is the number of validation images that the teacher's features are measured on at
// the end of every epoch, or of training images where there is no validation split. They are the
// same images all through a run.
const healthImages = 256

// health measures the teacher's features. It reads the state and changes nothing.
type health struct {
	monitor *model.Monitor
	images  []byte // [n, S, S, 3]
}

// newHealth reads the images that are measured on.
func (j *Job) newHealth(ctx context.Context) (*health, error) {
	batch := j.cfg.Batch
	if j.cfg.MicroBatch > 0 {
		batch = j.cfg.MicroBatch // a forward pass needs less memory than a training pass
	}
	monitor, err := model.NewMonitor(j.device, j.cfg.Model(), min(batch, healthImages))
	if err != nil {
		return nil, &machine.DeviceError{Err: err}
	}
	split := machine.ValidationSplit
	if j.data.Index.Counts[split] == 0 {
		split = machine.TrainSplit
	}
	loader, err := j.evaluationLoader(split)
	if err != nil {
		return nil, err
	}
	h := &health{monitor: monitor}
	size := j.cfg.Image * j.cfg.Image * 3
	for b, err := range loader.Batches(ctx, 0, loader.StepsPerEpoch()) {
		if err != nil {
			return nil, err
		}
		h.images = append(h.images, b.Images[:min(b.N*size, healthImages*size-len(h.images))]...)
		if len(h.images) == healthImages*size {
			break
		}
	}
	return h, nil
}

// measureHealth measures the teacher between two updates, logs the figures and adds them to the
// journal.
func (j *Job) measureHealth(h *health, at position, epoch int64) error {
	m, err := h.monitor.MeasureTeacher(at.learner, h.images)
	if err != nil {
		return fmt.Errorf("measuring the teacher after epoch %d: %w", epoch, &machine.DeviceError{Err: err})
	}
	line := record.Health{
		Step: at.step, Epoch: epoch, Depths: j.cfg.Depths,
		Std: record.FiniteAll(m.Std), Rank: record.FiniteAll(m.Rank), RMS: record.FiniteAll(m.RMS),
	}
	last := len(m.Rank) - 1
	j.log.Info("epoch", "epoch", epoch, "step", at.step, "feature_std", m.Std[last], "effective_rank", m.Rank[last], "residual_rms", m.RMS[last])
	return j.journal.add(record.Healths, line)
}
