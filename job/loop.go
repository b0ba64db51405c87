package job

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"time"

	"github.com/cijepa/cijepa/job/bar"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/trainer"
	"github.com/cijepa/cijepa/model"
)

// loop takes the updates of a phase that are left, and does after each what both phases need: it
// measures the pace, writes lines, evaluates, saves what is due and notices a stop.
type loop struct {
	*phase
	job   *Job
	meter *meter
}

// phase is what the loop has to know of pretraining or of the probe.
type phase struct {
	total    int64        // updates of the phase
	perEpoch int64        // updates of an epoch
	batch    int          // images of an update
	bad      func() []int // undecodable images found so far, by number

	line     func(at position) record.Step         // of the update just taken, without its pace
	endEpoch func(context.Context, position) error // nil: nothing is due at the end of an epoch
	keep     func(step int64) bool                 // whether a checkpoint after this update is never deleted
	pending  func() (bool, error)                  // whether an evaluation is still running; nil: there is none
	wait     func(context.Context) error           // waits for the running evaluation; nil: there is none
}

// taken is what one update tells the loop.
type taken struct {
	step   int64 // updates done in the phase
	loss   float64
	images int
	wait   time.Duration // that the loop stood still for the batch
}

// run takes one update for each batch. at stands behind the last update that was taken, whatever
// ended the loop.
func run[B any](ctx context.Context, l *loop, at *position, batches iter.Seq2[B, error], update func(B) (taken, error)) error {
	defer l.meter.end()
	for batch, err := range batches {
		if err != nil {
			return err
		}
		t, err := update(batch)
		if err != nil {
			return err
		}
		if err := l.after(ctx, at, t); err != nil {
			return err
		}
	}
	return nil
}

// newLoop begins to measure the pace of a phase.
func (j *Job) newLoop(at position, p *phase) *loop {
	j.live.Stepped(at.phase, at.step, p.total)
	return &loop{phase: p, job: j, meter: newMeter(j.bars, j.device, at.phase, at.step, p.total)}
}

// after does what is due after an update.
func (l *loop) after(ctx context.Context, at *position, t taken) error {
	j := l.job
	at.step, at.keep = t.step, l.keep(t.step)
	j.live.Stepped(at.phase, at.step, l.total)
	at.progress.Bad = l.bad()
	lap, onDevice := l.meter.update(at.step, t.loss, t.images, t.wait)
	at.progress.took(at.phase, lap, onDevice, t.wait.Seconds())
	j.account(at.progress)
	if at.step%int64(j.cfg.LogEvery) == 0 || at.step == l.total {
		if err := l.report(ctx, *at); err != nil {
			return err
		}
		j.saver.flush()
	}
	if at.step%l.perEpoch == 0 && l.endEpoch != nil {
		if err := l.endEpoch(ctx, *at); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return l.save(ctx, *at)
}

// report writes the log line and the metrics of an update.
func (l *loop) report(ctx context.Context, at position) error {
	j, pace := l.job, l.meter.pace()
	line := l.line(at)
	line.Phase, line.Step, line.Epoch = at.phase, at.step, float64(at.step)/float64(l.perEpoch)
	line.ImagesPerSecond, line.DataWait = pace.steps*float64(l.batch), pace.wait
	line.Skipped, line.Bad = at.progress.Skipped, int64(len(at.progress.Bad))
	line.Cost, line.DeviceMemory = known(at.progress.Cost), known(float64(at.progress.DeviceMemory))
	if at.phase == record.Pretraining {
		line.MFU = j.mfu(line.ImagesPerSecond)
	}
	level := slog.LevelInfo
	if j.bars != nil {
		level = slog.LevelDebug // a progress bar shows the same
	}
	attrs := []any{"phase", line.Phase, "step", line.Step, "of", l.total, "loss", line.Loss,
		"lr", line.LR, "images_per_second", line.ImagesPerSecond, "data_wait", line.DataWait, "eta", pace.left.String()}
	for _, optional := range []struct {
		name  string
		value *float64
	}{{"mfu", line.MFU}, {"device_memory", line.DeviceMemory}, {"cost", line.Cost}} {
		if optional.value != nil {
			attrs = append(attrs, optional.name, *optional.value)
		}
	}
	j.log.Log(ctx, level, "step", attrs...)
	j.trainer.Report(trainer.Underway(line, l.total, pace.left, at.progress.Eval, at.progress.Alarms.Count))
	return j.journal.add(record.Steps, line)
}

// save begins a checkpoint if one is due. While an evaluation is running, the checkpoint is
// postponed so that it includes the result; one that is kept for ever waits for it instead. The
// end of the phase is committed by [saver.finish].
func (l *loop) save(ctx context.Context, at position) error {
	due, err := l.job.saver.due()
	if err != nil {
		return err
	}
	if l.pending != nil {
		pending, err := l.pending()
		if err != nil {
			return err
		}
		due = due && !pending
	}
	if at.step == l.total || !due && !at.keep {
		return nil
	}
	if l.wait != nil {
		if err := l.wait(ctx); err != nil {
			return err
		}
	}
	return l.job.saver.save(ctx, at)
}

// meter measures the pace of a phase and shows it: a bar on a terminal, nothing elsewhere.
type meter struct {
	device             *model.Device
	total, step, since int64
	last, read         time.Time     // of the newest update, of the newest pace
	wait, busy         time.Duration // busy is the device's at the newest update
	bar                *bar.Bar
}

// newMeter begins to measure a phase of total steps of which step are done. A nil writer shows
// nothing.
func newMeter(w io.Writer, device *model.Device, phase string, step, total int64) *meter {
	m := &meter{device: device, busy: device.Busy(), total: total, step: step, since: step, last: time.Now(), read: time.Now(), bar: bar.New(w, phase, step, total)}
	m.bar.Update(step, nil)
	return m
}

// update counts one step and the time that it waited for its data, and returns the seconds since
// the one before, and of them those in which programs ran on the device.
func (m *meter) update(step int64, loss float64, images int, wait time.Duration) (lap, onDevice float64) {
	lap, onDevice = time.Since(m.last).Seconds(), (m.device.Busy() - m.busy).Seconds()
	m.last, m.busy = time.Now(), m.device.Busy()
	m.step = step
	m.wait += wait
	m.bar.Update(step, func() []string {
		elapsed := max(time.Since(m.read).Seconds(), 1e-9)
		return []string{
			fmt.Sprintf("loss %.4f", loss), fmt.Sprintf("%.0f images/s", float64(images)*float64(m.step-m.since)/elapsed),
			fmt.Sprintf("wait %.1f%%", 100*m.wait.Seconds()/elapsed),
		}
	})
	return lap, onDevice
}

// pace is what a phase did since the pace before.
type pace struct {
	steps float64 // a second
	wait  float64 // share of the time that the data was waited for
	left  time.Duration
}

// pace measures the pace since the last call.
func (m *meter) pace() pace {
	elapsed := time.Since(m.read).Seconds()
	p := pace{steps: float64(m.step-m.since) / max(elapsed, 1e-9), wait: m.wait.Seconds() / max(elapsed, 1e-9)}
	p.left = time.Duration(float64(m.total-m.step) / max(p.steps, 1e-9) * float64(time.Second)).Round(time.Second)
	m.read, m.since, m.wait = time.Now(), m.step, 0
	return p
}

// end takes the bar away.
func (m *meter) end() { m.bar.End() }
