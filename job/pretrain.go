package job

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/storage"
)

// maxSkipped is how many updates in a row may be skipped for a gradient that is not finite: by then it is no accident.
const maxSkipped = 20

// pretrain takes the updates that are left. Every update is a function of (seed, step): its batch, its masks, its
// sampled depths, its rate and momentum; so it does not matter where an earlier attempt ended.
func (j *Job) pretrain(ctx context.Context, at position) (position, error) {
	crop := input.PretrainCrop()
	crop.Scale = j.cfg.CropScale
	loader, err := j.loader(trainSplit, input.Config{Size: j.cfg.Image, Batch: j.cfg.Batch, Shuffle: true, Seed: j.cfg.Seed, Crop: crop, Bad: at.progress.Bad})
	if err != nil {
		return at, err
	}
	masker, err := j.cfg.Model().Masker()
	if err != nil {
		return at, err
	}
	perEpoch := loader.StepsPerEpoch()
	total, keepEvery := int64(j.cfg.Epochs)*perEpoch, int64(j.cfg.KeepEvery)*perEpoch
	schedule := j.cfg.Schedule(total)
	loader.Ahead(at.step, total) // while programs are compiled
	judge := j.newJudge(at.progress, schedule, perEpoch)
	online := j.newOnline(ctx, at.progress, perEpoch, total)
	defer online.close()
	watch, err := j.newWatch(ctx)
	if err != nil {
		return at, err
	}
	if err := j.compile(ctx, at.learner, masker.Shapes(), watch.monitor); err != nil {
		return at, err
	}
	if j.programs.own() {
		j.takePart(at.progress)
	}
	if at.step == 0 {
		if err := interruptible(ctx, func() error { return j.look(watch, at, 0) }); err != nil {
			return at, err
		}
	}
	if err := online.look(ctx, watch.monitor, at); err != nil {
		return at, err
	}

	saver := j.newSaver(ctx, at)
	defer saver.close()
	meter := newMeter(j.bars, j.device, pretraining, at.step, total)
	defer meter.end()
	j.live.Stepped(pretraining, at.step, total)
	stop := func(err error, keep bool) error {
		online.stop()
		return j.stopped(ctx, err, at, saver, keep)
	}
	for batch, err := range uploaded(ctx, at.learner, loader, at.step, total) {
		if err != nil {
			return at, stop(err, at.step%keepEvery == 0)
		}
		update := batch.step + 1
		sources := model.SampleDepths(j.cfg.Depths, j.cfg.IntermediateRows, j.cfg.Seed, batch.step)
		out, err := at.learner.Step(model.StepInput{
			Images:   batch.images,
			Masks:    masker.Draw(j.cfg.Seed, batch.step, j.cfg.Batch),
			Sources:  sources,
			Rate:     schedule.Rate(update),
			Momentum: schedule.Momentum(update),
		})
		if err != nil {
			return at, fmt.Errorf("update %d: %w", update, &DeviceError{err})
		}
		at.step = update
		j.live.Stepped(pretraining, update, total)
		at.progress.observe(j.cfg.Depths, sources, out)
		j.raise(judge.update(update, out.Skipped))
		if n := at.progress.SkippedInARow; n >= maxSkipped {
			saver.write(ctx)
			return at, fmt.Errorf("%d updates in a row without a finite gradient, the last is number %d: lower %s, in another %s, or look at the data", n, update, variable("PeakRate"), variable("Run"))
		}
		at.progress.Bad = loader.Bad()
		lap, onDevice := meter.update(update, out.Loss, j.cfg.Batch, batch.wait)
		at.progress.PretrainSeconds += lap
		at.progress.PretrainDevice += onDevice
		at.progress.WaitSeconds += batch.wait.Seconds()
		if update%int64(j.cfg.LogEvery) == 0 || update == total {
			if err := j.report(at, schedule, perEpoch, meter.pace()); err != nil {
				return at, err
			}
			saver.flush()
		}
		if update%perEpoch == 0 {
			if err := j.look(watch, at, update/perEpoch); err != nil {
				return at, err
			}
			if err := online.look(ctx, watch.monitor, at); err != nil {
				return at, stop(err, update%keepEvery == 0)
			}
		}

		keep := update%keepEvery == 0 || update == total
		if ctx.Err() != nil {
			return at, stop(context.Cause(ctx), keep)
		}
		due, err := saver.due()
		if err != nil {
			return at, err
		}
		busy, err := online.busy()
		if err != nil {
			return at, err
		}
		if (due && !busy || keep) && update < total {
			if err := online.settle(ctx); err != nil {
				return at, stop(err, keep)
			}
			if err := saver.begin(ctx, at, keep); err != nil {
				return at, err
			}
		}
	}
	if err := online.settle(ctx); err != nil {
		return at, stop(err, true)
	}
	return j.enterProbe(ctx, at, saver)
}

// stopped ends an attempt in the middle of a phase and saves what fits into the deadline, which counts from the signal. When an
// error ends the attempt nobody hurries it, until a signal does. After an error of the device there is nothing whole to save,
// and asking for it may never end.
func (j *Job) stopped(ctx context.Context, err error, at position, saver *saver, keep bool) error {
	cause := context.Cause(ctx)
	if errors.Is(err, storage.ErrOvertaken) {
		return err // what this attempt has is nobody's any more, and its end is on record
	}
	if device := (*DeviceError)(nil); errors.As(err, &device) && !errors.Is(cause, ErrStopped) {
		return err
	}
	saving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	until := time.Now().Add(j.cfg.SavePatience)
	if cause != nil {
		until = j.deadline(cause)
	} else {
		defer context.AfterFunc(ctx, func() { time.AfterFunc(time.Until(j.deadline(context.Cause(ctx))), cancel) })()
	}
	saved := saver.last(saving, at, keep, until)
	if !errors.Is(cause, ErrStopped) {
		return err
	}
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	j.recordAttempt(short, saver.end(record.Stopped, at.step, saved))
	j.log.Warn("stopped", "phase", at.phase, "step", at.step, "saved", saved, "lost", at.step-saved)
	return ErrStopped
}

// deadline is when the last checkpoint must be committed, once the context has ended for a cause.
func (j *Job) deadline(cause error) time.Time {
	told := time.Now()
	if stop := (Stop{}); errors.As(cause, &stop) {
		told = stop.At
	}
	return told.Add(j.cfg.StopDeadline)
}

// compile builds all programs before the first step, as that cannot be interrupted.
func (j *Job) compile(ctx context.Context, learner *model.Learner, shapes []model.MaskShape, monitor *model.Monitor) error {
	return interruptible(ctx, func() error {
		j.live.Doing("compiling")
		if err := j.compileAll(monitor.Compile, learner.CompileSnapshot, func() error { return j.compileSteps(learner, shapes) }); err != nil {
			return err
		}
		in := learner.Inspect() // what GoMLX may have replaced by something slower shows here
		j.log.Info("compiled", "programs", in.Programs, "products", in.Products, "fused_attention", in.FusedAttention)
		return nil
	})
}

// compileSteps builds the programs of all mask shapes.
func (j *Job) compileSteps(learner *model.Learner, shapes []model.MaskShape) error {
	var steps []func() error
	for _, s := range shapes {
		steps = append(steps, func() error { return learner.Compile(s) })
	}
	return j.compileAll(steps...)
}

// compileAll builds programs side by side: a compiler keeps few cores busy for a minute at full size.
func (j *Job) compileAll(programs ...func() error) error {
	var all errgroup.Group
	for _, compile := range programs {
		all.Go(func() error {
			defer j.live.Moved()
			return compile()
		})
	}
	if err := all.Wait(); err != nil {
		return &DeviceError{err}
	}
	return nil
}

// report writes the log line and the metrics of a step.
func (j *Job) report(at position, schedule model.Schedule, perEpoch int64, p pace) error {
	line := record.Step{
		Phase: at.phase, Step: at.step, Epoch: float64(at.step) / float64(perEpoch), Loss: at.progress.Loss,
		Rate: schedule.Rate(at.step), Momentum: schedule.Momentum(at.step), ImagesPerSecond: p.steps * float64(j.cfg.Batch),
		DataWait: p.wait, Skipped: at.progress.Skipped, Bad: int64(len(at.progress.Bad)),
		Updates: slices.Clone(at.progress.Updates), Table: slices.Clone(at.progress.Table),
	}
	j.log.Log(context.Background(), j.stepLevel(), "step", "phase", at.phase, "step", at.step, "of", schedule.Total, "loss", line.Loss, "rate", line.Rate,
		"images_per_second", line.ImagesPerSecond, "data_wait", line.DataWait, "eta", p.left.String())
	return j.journal.add(record.Steps, line)
}

// enterProbe commits the end of pretraining and takes the teacher from it. The state is hashed while it is uploaded, so
// that its sha256 stands in the checkpoints of the probe and not in this one.
func (j *Job) enterProbe(ctx context.Context, at position, saver *saver) (position, error) {
	j.live.Doing("saving the end of pretraining")
	err := saver.finish(ctx, at, func(parts []storage.Part) (err error) {
		at.progress.StateSHA256, err = digest(ctx, parts)
		return err
	})
	if err != nil {
		return at, j.stopped(ctx, err, at, saver, true)
	}
	teacher, err := at.learner.Encoder()
	if err = errors.Join(err, at.learner.Close()); err != nil {
		return at, &DeviceError{err}
	}
	next := position{phase: probing, progress: at.progress}
	next.probes, err = j.newProbes(teacher)
	return next, err
}
