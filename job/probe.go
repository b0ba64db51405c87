package job

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/job/input/pixels"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/draw"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

// probes are the two linear probes of a run: of the frozen teacher and, so that its figure means something, of the
// encoder as it was before the first update. They see the same batches.
type probes struct {
	teacher            *model.Encoder
	trained, untrained *model.Probe
}

// newProbes begins the probes of a teacher. Their first weights are the same.
func (j *Job) newProbes(teacher *model.Encoder) (*probes, error) {
	c := j.probeConfig()
	initial, err := model.InitialEncoder(j.cfg.Model(), j.cfg.Seed)
	if err != nil {
		return nil, err
	}
	p := &probes{teacher: teacher}
	if p.trained, err = model.NewProbe(j.device, j.cfg.Model(), c, teacher, j.cfg.Seed); err != nil {
		return nil, &machine.DeviceError{err}
	}
	if p.untrained, err = model.NewProbe(j.device, j.cfg.Model(), c, initial, j.cfg.Seed); err != nil {
		return nil, &machine.DeviceError{err}
	}
	return p, nil
}

func (j *Job) probeConfig() model.ProbeConfig {
	return model.ProbeConfig{Classes: len(j.data.Index.Classes), Batch: j.cfg.ProbeBatch, LR: j.cfg.ProbeLR}
}

// named gives the probes with the prefix of their parts in a checkpoint.
func (p *probes) named() []struct {
	prefix string
	probe  *model.Probe
} {
	return []struct {
		prefix string
		probe  *model.Probe
	}{{"trained-", p.trained}, {"untrained-", p.untrained}}
}

// teacherPart is the part that holds the frozen teacher, in a checkpoint of this phase and in the run's folder.
const teacherPart = "teacher.safetensors"

// loadProbes begins the probes that a checkpoint holds.
func (j *Job) loadProbes(c checkpoint.Checkpoint) (*probes, error) {
	r, err := openPart(c, teacherPart)
	if err != nil {
		return nil, err
	}
	teacher, err := model.ReadEncoder(j.cfg.Model(), r)
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, loading(err)
	}
	p, err := j.newProbes(teacher)
	if err != nil {
		return nil, err
	}
	for _, n := range p.named() {
		if err := n.probe.Load(func(part string) (io.ReadCloser, error) { return openPart(c, n.prefix+part) }); err != nil {
			return nil, loading(err)
		}
	}
	return p, nil
}

// parts copies the whole phase: the teacher and both probes.
func (p *probes) parts() ([]model.Part, error) {
	teacher, err := exported(p.teacher, nil)
	if err != nil {
		return nil, err
	}
	all := []model.Part{teacher}
	for _, n := range p.named() {
		parts, err := n.probe.Parts()
		if err != nil {
			return nil, err
		}
		for _, part := range parts {
			part.Name = n.prefix + part.Name
			all = append(all, part)
		}
	}
	return all, nil
}

// compile runs the encoders once, on black images.
func (p *probes) compile(c settings.Config) error {
	for _, n := range p.named() {
		if _, err := n.probe.Features(make([]byte, c.Image*c.Image*3)); err != nil {
			return fmt.Errorf("compiling the probe: %w", &machine.DeviceError{err})
		}
	}
	return nil
}

// exported is the part that holds an encoder under timm's names.
func exported(e *model.Encoder, metadata map[string]string) (model.Part, error) {
	var size counter
	err := e.Export(&size, metadata)
	return model.Part{Name: teacherPart, Size: int64(size), Write: func(w io.Writer) error { return e.Export(w, metadata) }}, err
}

// counter is a writer that only counts.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// probe trains what is left of the two probes, scores them on the validation split and returns the scores.
func (j *Job) probe(ctx context.Context, at position) (scores, error) {
	crop := pixels.ProbeCrop()
	crop.Scale = j.cfg.ProbeCropScale
	loader, err := j.loader(machine.TrainSplit, input.Config{
		Size: j.cfg.Image, Batch: j.cfg.ProbeBatch, Shuffle: true, KeepPartial: true, Crop: crop, Bad: at.progress.Bad,
		Seed: draw.New(j.cfg.Seed, probing).Uint64(), // other orders and crops than pretraining's
	})
	if err != nil {
		return scores{}, err
	}
	perEpoch := loader.StepsPerEpoch()
	total := perEpoch * int64(j.cfg.ProbeEpochs)
	// The first pass compiles, which cannot be interrupted.
	j.live.Doing("compiling the probe")
	if err := machine.Interruptible(ctx, func() error { return at.probes.compile(j.cfg) }); err != nil {
		return scores{}, err
	}
	if j.programs.Own() {
		j.takePart(at.progress)
	}
	saver := j.newSaver(ctx, at)
	defer saver.close()
	meter := newMeter(j.bars, j.device, probing, at.step, total)
	defer meter.end()
	j.live.Stepped(probing, at.step, total)
	for batch, err := range loader.Batches(ctx, at.step, total) {
		if err != nil {
			return scores{}, j.stopped(ctx, err, at, saver, false)
		}
		rate := j.probeConfig().LRAt(batch.Step+1, total)
		var loss []float64
		for _, n := range at.probes.named() {
			losses, err := n.probe.Step(batch.Images[:batch.N*j.cfg.Image*j.cfg.Image*3], batch.Labels[:batch.N], rate)
			if err != nil {
				return scores{}, fmt.Errorf("update %d of the probe: %w", batch.Step+1, &machine.DeviceError{err})
			}
			loss = append(loss, losses[len(losses)-1])
		}
		at.step = batch.Step + 1
		at.progress.Bad = loader.Bad()
		j.live.Stepped(probing, at.step, total)
		lap, onDevice := meter.update(at.step, loss[0], batch.N, batch.Wait)
		at.progress.ProbeSeconds += lap
		at.progress.ProbeDevice += onDevice
		if at.step%int64(j.cfg.LogEvery) == 0 || at.step == total {
			p := meter.pace()
			j.log.Log(ctx, j.stepLevel(), "step", "phase", probing, "step", at.step, "of", total, "loss", loss[0], "untrained_loss", loss[1], "eta", p.left.String())
			if err := j.journal.add(record.Steps, record.Step{
				Phase: probing, Step: at.step, Epoch: float64(at.step) / float64(perEpoch), Loss: settings.Finite(loss[0]), LR: rate,
				ImagesPerSecond: p.steps * float64(j.cfg.ProbeBatch), DataWait: p.wait, Skipped: at.progress.Skipped, Bad: int64(len(at.progress.Bad)),
			}); err != nil {
				return scores{}, err
			}
			saver.flush()
		}
		if ctx.Err() != nil {
			return scores{}, j.stopped(ctx, context.Cause(ctx), at, saver, at.step == total)
		}
		due, err := saver.due()
		if err != nil {
			return scores{}, err
		}
		if due && at.step < total {
			if err := saver.begin(ctx, at, false); err != nil {
				return scores{}, err
			}
		}
	}
	if err := saver.finish(ctx, at, nil); err != nil {
		return scores{}, j.stopped(ctx, err, at, saver, true)
	}
	s, err := j.score(ctx, at.probes)
	if err != nil {
		return s, j.stopped(ctx, err, at, saver, true)
	}
	return s, nil
}
