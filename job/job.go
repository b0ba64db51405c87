// Package job is the run: settings, the two phases, resuming, the result. Start at Run; the phases are in pretrain.go
// and probe.go. It moves samples from storage through job/input to model, and knows no more of a bucket, a pixel or a
// graph than their interfaces say.
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
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
	"github.com/cijepa/cijepa/storage/shards"
)

// Job is one attempt at a run.
type Job struct {
	cfg      settings.Config
	versions machine.Versions
	log      *slog.Logger
	bars     io.Writer // of progress bars; nil: none

	bucket   *storage.Bucket
	shards   *storage.Bucket // of the data
	run      *checkpoint.Run
	data     *shards.Dataset
	cache    *shards.Cache
	device   *model.Device
	programs *machine.Programs
	journal  journal
	live     live.View
	begun    time.Time // of the run, not of this attempt
	ended    bool      // the end of this attempt is on record
}

// Run takes the run from wherever it stands to its result. It returns nil when and only when result.json is committed.
// Progress bars go to bars, if it is not nil. To stop it, cancel ctx with a Stop as the cause. Its errors wrap storage's
// sentinels, *SettingsError, *DeviceError or ErrStopped; main makes exit codes of them.
func Run(ctx context.Context, cfg settings.Config, versions machine.Versions, log *slog.Logger, bars io.Writer) error {
	log = log.With("run", cfg.Run)
	j := &Job{cfg: cfg, versions: versions, log: log, bars: bars}
	quiet, err := j.listen()
	if err != nil {
		return err
	}
	defer quiet()
	return j.unlessHung(ctx, j.attempt)
}

// attempt is Run from the bucket on.
func (j *Job) attempt(ctx context.Context) (err error) {
	if j.bucket, err = machine.OpenBucket(ctx, "Bucket", j.cfg.Bucket, j.store()); err != nil {
		return err
	}
	defer j.bucket.Close()
	j.run = checkpoint.OpenRun(j.bucket, j.cfg.Run, machine.HostName(), j.log)

	if text, err := j.run.Result(ctx); !errors.Is(err, storage.ErrNotFound) {
		if err != nil {
			return err
		}
		done, err := settings.Finished(j.cfg.Recipe, text, j.key("result.json"))
		if err == nil {
			j.log.Info("done already", "result", j.key("result.json"), "top1", done.Metrics.Top1)
		}
		return err
	}
	defer j.close(ctx)
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
	j.recordAttempt(ctx, record.Attempt{Phase: at.phase, From: at.step, Step: at.step})
	j.openBoard(at)
	defer j.readBefore(ctx)()
	if at.phase == pretraining {
		if at, err = j.pretrain(ctx, at); err != nil {
			return j.stoppedEarly(ctx, at, err)
		}
	}
	result, err := j.probe(ctx, at)
	if err != nil {
		return j.stoppedEarly(ctx, at, err)
	}
	return j.finish(ctx, at, result)
}

// store says how this run's buckets behave.
func (j *Job) store() storage.Options {
	return storage.Options{Log: j.log, RetryTimeout: j.cfg.RetryTimeout, Moved: j.live.Transferred}
}

// open makes the shards and the device ready.
func (j *Job) open(ctx context.Context) (err error) {
	j.live.Doing("opening the data")
	o := j.store()
	o.MustExist = true // nothing is written there
	if j.shards, err = machine.OpenBucket(ctx, "DataBucket", j.cfg.DataBucket, o); err != nil {
		return err
	}
	if j.data, err = machine.OpenDataset(ctx, j.cfg, j.shards); err != nil {
		return err
	}
	if err = machine.Usable(j.cfg, j.data.Index); err != nil {
		return err
	}
	if j.cache, err = machine.OpenCache(j.cfg, j.data, j.log); err != nil {
		return err
	}
	j.live.Doing("opening the device")
	j.programs = machine.NewRunPrograms(ctx, machine.ProgramsFolder(j.cfg), j.bucket, j.run, j.log)
	err = machine.Interruptible(ctx, func() (err error) {
		j.device, err = machine.OpenDevice(j.cfg, j.programs, j.log)
		return err
	})
	if err != nil {
		return err
	}
	if j.versions.Plugin = j.device.Plugin(); j.versions.Plugin != "" {
		j.versions.Driver = machine.Driver()
	}
	j.log.Info("opened", "device", j.device.Description(), "plugin", j.versions.Plugin, "driver", j.versions.Driver, "data", j.cfg.Data, "fingerprint", j.data.Fingerprint(),
		"classes", len(j.data.Index.Classes))
	return nil
}

// close leaves the cache to the end of the process when the context has ended: a worker may be at the checksum of a shard, and
// the time after a stop is short. The device it always leaves: a program or a compiler may still run there, and arrays that Go
// has not collected yet must not outlive it.
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

// stepLevel is the level of the lines that tell the pace: beside a progress bar nobody needs them.
func (j *Job) stepLevel() slog.Level {
	if j.bars != nil {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// key is the place of one of the run's objects in the bucket, for messages.
func (j *Job) key(name string) string { return "runs/" + j.cfg.Run + "/" + name }
