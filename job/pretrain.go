package job

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/cijepa/cijepa/job/alarm"
	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/job/input/pixels"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/mask"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

// pretrain takes the updates that are left. Every update is a function of (seed, step): its batch,
// its masks, its sampled depths, its learning rate and momentum. So it does not matter where an
// earlier attempt ended.
func (j *Job) pretrain(ctx context.Context, at *position) error {
	p, err := j.newPretraining(ctx, *at)
	if err != nil {
		return err
	}
	defer p.evaluator.close()
	if err := p.prepare(ctx, *at); err != nil {
		return err
	}
	from := at.step
	left := func(ctx context.Context) iter.Seq2[*input.Batch, error] {
		return p.loader.Batches(ctx, from, p.schedule.Total)
	}
	err = run(ctx, j.newLoop(*at, p.phase()), at, machine.Prefetch(ctx, at.learner, left), func(b machine.DeviceBatch) (taken, error) {
		return p.update(at, b)
	})
	if err == nil {
		err = p.evaluator.wait(ctx)
	}
	if err != nil {
		p.evaluator.stop() // what it has found is part of the last checkpoint
		return err
	}
	return j.enterProbe(ctx, at)
}

// pretraining is what the updates of pretraining take beside the position.
type pretraining struct {
	job       *Job
	loader    *input.Loader
	masker    *mask.Masker
	schedule  model.Schedule
	alarms    alarm.Rules
	health    *health
	evaluator *evaluator
}

// newPretraining opens the train split and begins to read what the evaluations need.
func (j *Job) newPretraining(ctx context.Context, at position) (*pretraining, error) {
	p := &pretraining{job: j}
	crop := pixels.PretrainCrop()
	crop.Scale = j.cfg.CropScale
	var err error
	if p.loader, err = j.loader(machine.TrainSplit, input.Config{
		Size: j.cfg.Image, Batch: j.cfg.Batch, Shuffle: true, Seed: j.cfg.Seed, Crop: crop, Bad: at.progress.Bad,
	}); err != nil {
		return nil, err
	}
	if p.masker, err = j.cfg.Model().Masker(); err != nil {
		return nil, err
	}
	perEpoch := p.loader.StepsPerEpoch()
	p.schedule = j.cfg.Schedule(int64(j.cfg.Epochs) * perEpoch)
	if err := checkStep(at, p.schedule.Total); err != nil {
		return nil, err
	}
	p.alarms = alarm.New(j.cfg.Depths, j.cfg.IntermediateRows, j.cfg.TargetNorm, p.schedule.Warmup, perEpoch, &at.progress.Alarms)
	j.journal.follow(func(line any) { j.fire(p.alarms.Evaluate(line)) })
	p.loader.Ahead(at.step, p.schedule.Total) // while programs are compiled
	if p.health, err = j.newHealth(ctx); err != nil {
		return nil, err
	}
	p.evaluator = j.newEvaluator(ctx, at.progress, perEpoch, p.schedule.Total)
	return p, nil
}

// prepare compiles the programs and evaluates the teacher from which the attempt begins.
func (p *pretraining) prepare(ctx context.Context, at position) error {
	if err := p.job.compile(ctx, at.learner, p.masker.Shapes(), p.health.monitor); err != nil {
		return err
	}
	if p.job.programs.UsesLocalPrograms() {
		p.job.recordEnvironment(at.progress)
	}
	if at.step == 0 {
		if err := machine.Interruptible(ctx, func() error { return p.job.measureHealth(p.health, at, 0) }); err != nil {
			return err
		}
	}
	return p.evaluator.evaluate(ctx, p.health.monitor, at)
}

// phase is pretraining as the loop sees it.
func (p *pretraining) phase() *phase {
	perEpoch := p.loader.StepsPerEpoch()
	keepEvery := int64(p.job.cfg.KeepEvery) * perEpoch
	return &phase{
		total: p.schedule.Total, perEpoch: perEpoch, batch: p.job.cfg.Batch,
		bad: p.loader.Bad, line: p.line, endEpoch: p.endEpoch,
		keep:    func(step int64) bool { return step%keepEvery == 0 || step == p.schedule.Total },
		pending: p.evaluator.pending, wait: p.evaluator.wait,
	}
}

// update takes one update.
func (p *pretraining) update(at *position, batch machine.DeviceBatch) (taken, error) {
	cfg, step := p.job.cfg, batch.Step+1
	sources := model.SampleDepths(cfg.Depths, cfg.IntermediateRows, cfg.Seed, batch.Step)
	out, err := at.learner.Step(model.StepInput{
		Images:      batch.Images,
		Masks:       p.masker.Draw(cfg.Seed, batch.Step, cfg.Batch),
		Sources:     sources,
		LR:          p.schedule.LR(step),
		EMAMomentum: p.schedule.EMAMomentum(step),
	})
	if err != nil {
		return taken{}, fmt.Errorf("update %d: %w", step, &machine.DeviceError{Err: err})
	}
	at.progress.observe(cfg.Depths, sources, out)
	p.job.fire(p.alarms.EvaluateUpdate(step, out.Skipped))
	if n := at.progress.SkippedInARow; n >= alarm.MaxSkipped {
		at.step = step
		return taken{}, unsavable{fmt.Errorf("%d updates in a row without a finite gradient, the last is number %d: lower %s, in another %s, or look at the data",
			n, step, settings.Variable("PeakLR"), settings.Variable("Run"))}
	}
	return taken{step: step, loss: out.Loss, images: cfg.Batch, wait: batch.Wait}, nil
}

// line is the metrics line of the newest update.
func (p *pretraining) line(at position) record.Step {
	return record.Step{
		Loss: at.progress.Loss, LR: p.schedule.LR(at.step), EMAMomentum: p.schedule.EMAMomentum(at.step),
		Updates: slices.Clone(at.progress.Updates), Table: slices.Clone(at.progress.Table),
	}
}

// endEpoch evaluates the teacher.
func (p *pretraining) endEpoch(ctx context.Context, at position) error {
	if err := p.job.measureHealth(p.health, at, at.step/p.loader.StepsPerEpoch()); err != nil {
		return err
	}
	return p.evaluator.evaluate(ctx, p.health.monitor, at)
}

// enterProbe commits the end of pretraining and takes the teacher from it. The state is hashed
// while it is uploaded, so that its sha256 stands in the checkpoints of the probe, not in this one.
func (j *Job) enterProbe(ctx context.Context, at *position) error {
	j.live.Doing("saving the end of pretraining")
	err := j.saver.finish(ctx, *at, func(parts []checkpoint.Part) (err error) {
		at.progress.StateSHA256, err = digest(ctx, parts)
		return err
	})
	if err != nil {
		return err
	}
	teacher, err := at.learner.Encoder()
	if err = errors.Join(err, at.learner.Close()); err != nil {
		return &machine.DeviceError{Err: err}
	}
	probes, err := j.newProbes(teacher)
	if err != nil {
		return err
	}
	*at = position{phase: record.Probing, progress: at.progress, probes: probes}
	j.saver.uploader.close()
	j.saver = j.newSaver(ctx, *at)
	return nil
}

// compile builds all programs before the first update, because a compiler cannot be interrupted.
func (j *Job) compile(ctx context.Context, learner *model.Learner, shapes []mask.Shape, monitor *model.Monitor) error {
	return machine.Interruptible(ctx, func() error {
		j.live.Doing("compiling")
		j.log.Info("compiling", "programs", j.cfg.Model().Programs(len(shapes)))
		if err := j.compileAll(monitor.Compile, learner.CompileSnapshot, func() error { return j.compileSteps(learner, shapes) }); err != nil {
			return err
		}
		in := learner.Inspect() // a slower form that GoMLX may have chosen shows here
		j.log.Info("compiled", "programs", in.Programs, "products", in.Products, "fused_attention", in.FusedAttention)
		return nil
	})
}

// compileSteps builds the programs of all mask shapes.
func (j *Job) compileSteps(learner *model.Learner, shapes []mask.Shape) error {
	var steps []func() error
	for _, s := range shapes {
		steps = append(steps, func() error { return learner.Compile(s) })
	}
	return j.compileAll(steps...)
}

// compileAll builds programs in parallel: at full size a compiler keeps few cores busy for a
// minute.
func (j *Job) compileAll(programs ...func() error) error {
	var all errgroup.Group
	for _, compile := range programs {
		all.Go(func() error {
			defer j.live.Moved()
			return compile()
		})
	}
	if err := all.Wait(); err != nil {
		return &machine.DeviceError{Err: err}
	}
	return nil
}

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
	h := &health{monitor: monitor}
	for b, err := range j.evaluationBatches(ctx, j.heldOutSplit(), healthImages) {
		if err != nil {
			return nil, err
		}
		h.images = append(h.images, b.Images...)
	}
	return h, nil
}

// heldOutSplit is the validation split, or of data without one the train split.
func (j *Job) heldOutSplit() string {
	if j.data.Index.Counts[machine.ValidationSplit] == 0 {
		return machine.TrainSplit
	}
	return machine.ValidationSplit
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
