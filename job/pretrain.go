package job

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cijepa/cijepa/job/alarm"
	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/job/input/pixels"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/mask"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

// pretrain takes the updates that are left. Every update is a function of (seed, step): its batch, its masks, its
// sampled depths, its rate and momentum; so it does not matter where an earlier attempt ended.
func (j *Job) pretrain(ctx context.Context, at position) (position, error) {
	p, err := j.newPretrainer(ctx, at)
	if err != nil {
		return at, err
	}
	defer p.online.close()
	if err := p.prepare(ctx, at); err != nil {
		return at, err
	}
	defer p.saver.close()
	defer p.meter.end()
	from := at.step
	left := func(ctx context.Context) iter.Seq2[*input.Batch, error] { return p.loader.Batches(ctx, from, p.total) }
	for batch, err := range machine.Uploaded(ctx, at.learner, left) {
		if err == nil {
			err = p.update(ctx, &at, batch)
		}
		if err != nil {
			return at, p.stopped(ctx, err, at)
		}
	}
	if err := p.online.settle(ctx); err != nil {
		return at, p.stopped(ctx, err, at)
	}
	return j.enterProbe(ctx, at, p.saver)
}

// pretrainer is what the updates of pretraining take beside the position, and what looks after them.
type pretrainer struct {
	*Job
	loader   *input.Loader
	masker   *mask.Masker
	schedule model.Schedule
	perEpoch int64 // updates
	total    int64 // of them

	judge  alarm.Judge
	watch  *watch
	online *online
	saver  *saver // from prepare on
	meter  *meter // likewise
}

func (j *Job) newPretrainer(ctx context.Context, at position) (*pretrainer, error) {
	p := &pretrainer{Job: j}
	crop := pixels.PretrainCrop()
	crop.Scale = j.cfg.CropScale
	var err error
	if p.loader, err = j.loader(machine.TrainSplit, input.Config{Size: j.cfg.Image, Batch: j.cfg.Batch, Shuffle: true, Seed: j.cfg.Seed, Crop: crop, Bad: at.progress.Bad}); err != nil {
		return nil, err
	}
	if p.masker, err = j.cfg.Model().Masker(); err != nil {
		return nil, err
	}
	p.perEpoch = p.loader.StepsPerEpoch()
	p.total = int64(j.cfg.Epochs) * p.perEpoch
	p.schedule = j.cfg.Schedule(p.total)
	p.judge = j.newJudge(at.progress, p.schedule, p.perEpoch)
	p.loader.Ahead(at.step, p.total) // while programs are compiled
	if p.watch, err = j.newWatch(ctx); err != nil {
		return nil, err
	}
	p.online = j.newOnline(ctx, at.progress, p.perEpoch, p.total)
	return p, nil
}

// prepare compiles the programs and takes the looks at the teacher from which the attempt begins. Saving and metering begin after that.
func (p *pretrainer) prepare(ctx context.Context, at position) error {
	if err := p.compile(ctx, at.learner, p.masker.Shapes(), p.watch.monitor); err != nil {
		return err
	}
	if p.programs.Own() {
		p.takePart(at.progress)
	}
	if at.step == 0 {
		if err := machine.Interruptible(ctx, func() error { return p.look(p.watch, at, 0) }); err != nil {
			return err
		}
	}
	if err := p.online.look(ctx, p.watch.monitor, at); err != nil {
		return err
	}
	p.saver = p.newSaver(ctx, at)
	p.meter = newMeter(p.bars, p.device, pretraining, at.step, p.total)
	p.live.Stepped(pretraining, at.step, p.total)
	return nil
}

// update takes one update and does what is due after it.
func (p *pretrainer) update(ctx context.Context, at *position, batch machine.DeviceBatch) error {
	update := batch.Step + 1
	sources := model.SampleDepths(p.cfg.Depths, p.cfg.IntermediateRows, p.cfg.Seed, batch.Step)
	out, err := at.learner.Step(model.StepInput{
		Images:      batch.Images,
		Masks:       p.masker.Draw(p.cfg.Seed, batch.Step, p.cfg.Batch),
		Sources:     sources,
		LR:          p.schedule.LR(update),
		EMAMomentum: p.schedule.EMAMomentum(update),
	})
	if err != nil {
		return fmt.Errorf("update %d: %w", update, &machine.DeviceError{err})
	}
	at.step = update
	p.live.Stepped(pretraining, update, p.total)
	at.progress.observe(p.cfg.Depths, sources, out)
	p.raise(p.judge.Update(update, out.Skipped))
	if n := at.progress.SkippedInARow; n >= alarm.MaxSkipped {
		return unsavable{fmt.Errorf("%d updates in a row without a finite gradient, the last is number %d: lower %s, in another %s, or look at the data", n, update, settings.Variable("PeakLR"), settings.Variable("Run"))}
	}
	at.progress.Bad = p.loader.Bad()
	lap, onDevice := p.meter.update(update, out.Loss, p.cfg.Batch, batch.Wait)
	at.progress.PretrainSeconds += lap
	at.progress.PretrainDevice += onDevice
	at.progress.WaitSeconds += batch.Wait.Seconds()
	if err := p.tell(ctx, *at); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return p.save(ctx, *at)
}

// tell writes the lines that are due after an update.
func (p *pretrainer) tell(ctx context.Context, at position) error {
	if at.step%int64(p.cfg.LogEvery) == 0 || at.step == p.total {
		if err := p.report(at, p.schedule, p.perEpoch, p.meter.pace()); err != nil {
			return err
		}
		p.saver.flush()
	}
	if at.step%p.perEpoch != 0 {
		return nil
	}
	if err := p.look(p.watch, at, at.step/p.perEpoch); err != nil {
		return err
	}
	return p.online.look(ctx, p.watch.monitor, at)
}

// save begins a checkpoint if one is due. It waits for a look in hand only where the checkpoint cannot: it is to hold the look.
func (p *pretrainer) save(ctx context.Context, at position) error {
	due, err := p.saver.due()
	if err != nil {
		return err
	}
	busy, err := p.online.busy()
	if err != nil {
		return err
	}
	if (!due || busy) && !p.keep(at) || at.step == p.total {
		return nil
	}
	if err := p.online.settle(ctx); err != nil {
		return err
	}
	return p.saver.begin(ctx, at, p.keep(at))
}

// keep says whether a checkpoint of this position is never deleted.
func (p *pretrainer) keep(at position) bool {
	return at.step%(int64(p.cfg.KeepEvery)*p.perEpoch) == 0 || at.step == p.total
}

// stopped ends the attempt in the middle of pretraining.
func (p *pretrainer) stopped(ctx context.Context, err error, at position) error {
	p.online.stop()
	return p.Job.stopped(ctx, err, at, p.saver, p.keep(at))
}

// stopped ends an attempt in the middle of a phase and saves what fits into the deadline, which counts from the signal. When an
// error ends the attempt nobody hurries it, until a signal does. After an error of the device there is nothing whole to save,
// and asking for it may never end.
func (j *Job) stopped(ctx context.Context, err error, at position, saver *saver, keep bool) error {
	cause := context.Cause(ctx)
	if errors.Is(err, storage.ErrOvertaken) {
		return err // what this attempt has is nobody's any more, and its end is on record
	}
	if errors.As(err, &unsavable{}) {
		saver.write(ctx)
		return err
	}
	if device := (*machine.DeviceError)(nil); errors.As(err, &device) && !errors.Is(cause, ErrStopped) {
		return err
	}
	saving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	until := time.Now().Add(j.cfg.SaveTimeout())
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
func (j *Job) compile(ctx context.Context, learner *model.Learner, shapes []mask.Shape, monitor *model.Monitor) error {
	return machine.Interruptible(ctx, func() error {
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
func (j *Job) compileSteps(learner *model.Learner, shapes []mask.Shape) error {
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
		return &machine.DeviceError{err}
	}
	return nil
}

// report writes the log line and the metrics of a step.
func (j *Job) report(at position, schedule model.Schedule, perEpoch int64, p pace) error {
	line := record.Step{
		Phase: at.phase, Step: at.step, Epoch: float64(at.step) / float64(perEpoch), Loss: at.progress.Loss,
		LR: schedule.LR(at.step), EMAMomentum: schedule.EMAMomentum(at.step), ImagesPerSecond: p.steps * float64(j.cfg.Batch),
		DataWait: p.wait, Skipped: at.progress.Skipped, Bad: int64(len(at.progress.Bad)),
		Updates: slices.Clone(at.progress.Updates), Table: slices.Clone(at.progress.Table),
	}
	j.log.Log(context.Background(), j.stepLevel(), "step", "phase", at.phase, "step", at.step, "of", schedule.Total, "loss", line.Loss, "lr", line.LR,
		"images_per_second", line.ImagesPerSecond, "data_wait", line.DataWait, "eta", p.left.String())
	return j.journal.add(record.Steps, line)
}

// enterProbe commits the end of pretraining and takes the teacher from it. The state is hashed while it is uploaded, so
// that its sha256 stands in the checkpoints of the probe and not in this one.
func (j *Job) enterProbe(ctx context.Context, at position, saver *saver) (position, error) {
	j.live.Doing("saving the end of pretraining")
	err := saver.finish(ctx, at, func(parts []checkpoint.Part) (err error) {
		at.progress.StateSHA256, err = digest(ctx, parts)
		return err
	})
	if err != nil {
		return at, j.stopped(ctx, err, at, saver, true)
	}
	teacher, err := at.learner.Encoder()
	if err = errors.Join(err, at.learner.Close()); err != nil {
		return at, &machine.DeviceError{err}
	}
	next := position{phase: probing, progress: at.progress}
	next.probes, err = j.newProbes(teacher)
	return next, err
}
