// Package job is one run, from the bucket to the result: two phases, saving, stopping, resuming. It
// moves samples from storage/shards through job/input to model. Of a bucket, a pixel or a graph it
// knows no more than their interfaces say.
//
// In reading order:
//
//	job.go         Run and attempt: the flow on one screen
//	begin.go       run.json: begin a run, or join the one that is there
//	checkpoint.go  position: where a run stands, and its way into a checkpoint and back
//	pretrain.go    the first phase, and the health of the teacher's features at the end of an epoch
//	probe.go       the second phase: linear probes of the teacher and of the untrained encoder; the
//	               same alone, for cijepa probe
//	loop.go        what both phases do after each update, and the pace
//	evaluator.go   the online evaluation: a linear classifier and a kNN every few epochs
//	score.go       probes, kNN and ridge regression on the validation split
//	pictures.go    what the teacher makes of a few validation images
//	result.go      teacher, card and result.json
//	saver.go       when to save, the end of a phase, and the goroutine that uploads
//	stop.go        how an attempt ends before its run does, and a machine that fails it
//	watchdog.go    a run that hangs, and the page that shows one
//	progress.go    the counts that travel in every checkpoint, and what the machines cost
//	journal.go     metrics, TensorBoard and alarms
package job

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/cijepa/cijepa/job/live"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/job/trainer"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
	"github.com/cijepa/cijepa/storage/shards"
)

// Job is one attempt at a run.
type Job struct {
	cfg      settings.Config
	versions record.Versions
	log      *slog.Logger
	bars     io.Writer // of progress bars; nil: none
	folder   string    // below runs/: the run's, or a probe's in it
	probed   *probed   // of a probe that is no phase of a run; else nil

	bucket   *storage.Bucket
	shards   *storage.Bucket // of the data
	run      *checkpoint.Run
	data     *shards.Dataset
	cache    *shards.Cache
	device   *model.Device
	programs *machine.ProgramStore
	journal  journal
	live     live.View
	begun    time.Time // of the run, not of this attempt
	saver    *saver    // of the phase
	started  time.Time // of this attempt
	accounts accounts
	failures failures
	trainer  *trainer.Reporter // nil: no Kubeflow Trainer asks
}

// Run takes the run from wherever it stands to its result. It returns nil if and only if
// result.json is committed. Progress bars go to bars, if it is not nil. To stop it, cancel ctx with
// a Stop as the cause. Its errors wrap the sentinels of storage, *settings.Error,
// *machine.DeviceError or ErrStopped; main makes exit codes of them.
func Run(ctx context.Context, cfg settings.Config, versions record.Versions, log *slog.Logger, bars io.Writer) error {
	j := &Job{cfg: cfg, versions: versions, log: log.With("run", cfg.Run), bars: bars, folder: cfg.Run}
	return j.start(ctx)
}

// Probe is Run for a probe that is no phase of a run: the second phase alone, of the teacher that
// Config.Teacher names and on any data. It is kept under its name in the folder of Config.Run, of
// which nothing else is written. See settings.LoadProbe.
func Probe(ctx context.Context, cfg settings.Config, name string, versions record.Versions, log *slog.Logger, bars io.Writer) error {
	j := &Job{cfg: cfg, versions: versions, log: log.With("run", cfg.Run, "probe", name), bars: bars}
	j.folder, j.probed = cfg.Run+"/probes/"+name, &probed{name: name}
	return j.start(ctx)
}

// start makes the attempt beside its watchdog.
func (j *Job) start(ctx context.Context) error {
	j.started = time.Now()
	if j.cfg.Node != "" {
		j.log = j.log.With("node", j.cfg.Node)
	}
	j.trainer = trainer.New(trainer.Options(settings.TrainerServer()), j.log)
	defer j.listen()()
	watching, enough := context.WithCancel(ctx)
	defer enough()
	hung, done := j.watch(watching), make(chan error, 1)
	go func() { done <- j.attempt(ctx) }()
	select {
	case err := <-done:
		return err
	case err := <-hung: // the end of the process ends the goroutine of the attempt
		return j.blameMachine(ctx, err)
	}
}

// attempt is start without the watchdog.
func (j *Job) attempt(ctx context.Context) (err error) {
	if j.bucket, err = machine.OpenBucket(ctx, "Bucket", j.cfg.Bucket, j.storageOptions()); err != nil {
		return err
	}
	defer j.bucket.Close()
	j.run = j.openFolder()
	j.failures.run.Store(j.run)
	defer func() { err = j.blameMachine(ctx, err) }() // while the bucket is open
	if done, err := j.finished(ctx); done || err != nil {
		return err
	}
	defer j.close(ctx)
	j.warnOfMachine(ctx)
	if err := j.open(ctx); err != nil {
		return err
	}
	if err := j.begin(ctx); err != nil {
		return err
	}
	at, err := j.restore(ctx)
	if err != nil {
		return err
	}
	if j.accounts, err = j.newAccounts(at.progress); err != nil {
		return err
	}
	j.recordAttempt(ctx, record.Attempt{Phase: at.phase, From: at.step, Step: at.step})
	j.openBoard(at)
	defer j.readBefore(ctx)()
	j.saver = j.newSaver(ctx, at)
	defer func() { j.saver.uploader.close() }()
	if err := j.train(ctx, &at); err != nil {
		return j.stop(ctx, at, err)
	}
	return nil
}

// train takes the run from a position through what is left of its phases to its result. After an
// error, at is where it stands.
func (j *Job) train(ctx context.Context, at *position) error {
	if at.phase == record.Pretraining {
		if err := j.pretrain(ctx, at); err != nil {
			return err
		}
	}
	if j.data.Index.Unlabelled() {
		return j.finish(ctx, *at, scores{}) // there is nothing to probe with
	}
	result, err := j.probe(ctx, at)
	if err != nil {
		return err
	}
	return j.finish(ctx, *at, result)
}

// finished says whether the run has its result already.
func (j *Job) finished(ctx context.Context) (bool, error) {
	text, err := j.run.Result(ctx)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	result, err := settings.ReadResult(j.cfg.Recipe, text, j.run.ResultKey())
	if err == nil {
		err = j.checkTeacher(result.Teacher)
	}
	if err == nil {
		j.log.Info("done already", append([]any{"result", j.run.ResultKey()}, scoreAttrs(result.Metrics)...)...)
	}
	return err == nil, err
}

// storageOptions are those of this run's buckets.
func (j *Job) storageOptions() storage.Options {
	return storage.Options{Log: j.log, RetryTimeout: j.cfg.RetryTimeout, OnTransfer: j.live.Transferred}
}

// open opens the data and the device.
func (j *Job) open(ctx context.Context) (err error) {
	j.live.Doing("opening the data")
	o := j.storageOptions()
	o.MustExist = true // nothing is written there
	if j.shards, err = machine.OpenBucket(ctx, "DataBucket", j.cfg.DataBucket, o); err != nil {
		return err
	}
	if j.data, err = machine.OpenDataset(ctx, j.cfg, j.shards); err != nil {
		return err
	}
	used := j.cfg
	if j.probed != nil {
		used.Batch = 0 // there is no pretraining
		if j.data.Index.Unlabelled() {
			return settings.NewError("Data", j.cfg.Data, "it was packed without labels, and a probe learns from them; name data with labels")
		}
	}
	if err = machine.CheckDataset(used, j.data.Index); err != nil {
		return err
	}
	if j.cache, err = machine.OpenCache(j.cfg, j.data, j.log); err != nil {
		return err
	}
	j.live.Doing("opening the device")
	j.programs = machine.NewRunProgramStore(ctx, machine.ProgramFolder(j.cfg, j.log), j.bucket, j.run, j.log)
	err = machine.Interruptible(ctx, func() (err error) {
		j.device, err = machine.OpenDevice(j.cfg, j.programs, j.log)
		return err
	})
	if err != nil {
		return err
	}
	if j.versions.Plugin = j.device.Plugin(); j.versions.Plugin != "" {
		j.versions.Driver = machine.DriverVersion()
	}
	j.log.Info("opened", "device", j.device.Description(), "plugin", j.versions.Plugin, "driver", j.versions.Driver, "data", j.cfg.Data, "fingerprint", j.data.Fingerprint(),
		"classes", len(j.data.Index.Classes))
	if j.data.Index.Unlabelled() {
		j.log.Info("the data has no labels: pretraining alone, without evaluations, probe and kNN")
	}
	return nil
}

// close closes the data. After a stop it leaves the cache to the end of the process: a worker may
// be hashing a shard, and the time is short. The device is always left: a program may still run
// there, and it must outlive the arrays that Go has not collected yet.
func (j *Job) close(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	if j.cache != nil {
		if err := j.cache.Close(); err != nil {
			j.log.Warn("closing the shard cache", "error", err)
		}
	}
	if j.shards != nil {
		if err := j.shards.Close(); err != nil {
			j.log.Warn("closing the bucket of the data", "error", err)
		}
	}
}
