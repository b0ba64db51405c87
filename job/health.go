package job

import (
	"context"
	"fmt"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
)

// healthImages is how many validation images the health of the teacher is measured on, at the end of every epoch: the
// same ones all through a run.
const healthImages = 256

// watch measures the teacher's health. It reads the state and changes nothing.
type watch struct {
	monitor *model.Monitor
	images  []byte // [n, S, S, 3]
}

// newWatch reads the images that the health is measured on.
func (j *Job) newWatch(ctx context.Context) (*watch, error) {
	batch := j.cfg.Batch
	if j.cfg.MicroBatch > 0 {
		batch = j.cfg.MicroBatch // what fits a training pass fits a look
	}
	monitor, err := model.NewMonitor(j.device, j.cfg.Model(), min(batch, healthImages))
	if err != nil {
		return nil, &machine.DeviceError{err}
	}
	loader, err := j.evaluation(machine.ValidationSplit)
	if err != nil {
		return nil, err
	}
	w := &watch{monitor: monitor}
	size := j.cfg.Image * j.cfg.Image * 3
	for b, err := range loader.Batches(ctx, 0, loader.StepsPerEpoch()) {
		if err != nil {
			return nil, err
		}
		w.images = append(w.images, b.Images[:min(b.N*size, healthImages*size-len(w.images))]...)
		if len(w.images) == healthImages*size {
			break
		}
	}
	return w, nil
}

// look measures the teacher between two steps, logs it and puts it into the journal.
func (j *Job) look(w *watch, at position, epoch int64) error {
	h, err := w.monitor.MeasureTeacher(at.learner, w.images)
	if err != nil {
		return fmt.Errorf("measuring the teacher after epoch %d: %w", epoch, &machine.DeviceError{err})
	}
	line := record.Health{
		Step: at.step, Epoch: epoch, Depths: j.cfg.Depths,
		Std: settings.FiniteAll(h.Std), Rank: settings.FiniteAll(h.Rank), RMS: settings.FiniteAll(h.RMS),
	}
	last := len(h.Rank) - 1
	j.log.Info("epoch", "epoch", epoch, "step", at.step, "feature_std", h.Std[last], "effective_rank", h.Rank[last], "residual_rms", h.RMS[last])
	return j.journal.add(record.Healths, line)
}
