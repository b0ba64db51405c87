// Package job is the run: settings, the two phases, resuming, the result. Start at Run; the phases are in pretrain.go
// and probe.go. It moves samples from storage through job/input to model, and knows no more of a bucket, a pixel or a
// graph than their interfaces say.
package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/cijepa/cijepa/job/live"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/storage"
)

// ErrStopped is the cause of a context that ends because the program was told to stop (SIGTERM). A run that returns it
// has not finished and is to be started again.
var ErrStopped = errors.New("stopped before the end; start the same run again to go on")

// Stop is ErrStopped with the moment at which the program was told: the deadline of the last checkpoint counts from it,
// whatever the run was doing when the signal came.
type Stop struct{ At time.Time }

// Error is ErrStopped's.
func (s Stop) Error() string { return ErrStopped.Error() }

// Is makes every Stop an ErrStopped.
func (s Stop) Is(target error) bool { return target == ErrStopped }

// Job is one attempt at a run.
type Job struct {
	cfg      Config
	versions Versions
	log      *slog.Logger
	bars     io.Writer // of progress bars; nil: none

	bucket  *storage.Bucket
	run     *storage.Run
	data    *storage.Dataset
	cache   *storage.Cache
	device  *model.Device
	journal journal
	live    live.View
	begun   time.Time // of the run, not of this attempt
}

// Run takes the run from wherever it stands to its result. It returns nil when and only when result.json is committed.
// Progress bars go to bars, if it is not nil. To stop it, cancel ctx with a Stop as the cause. Its errors wrap storage's
// sentinels, *SettingsError, *DeviceError or ErrStopped; main makes exit codes of them.
func Run(ctx context.Context, cfg Config, versions Versions, log *slog.Logger, bars io.Writer) error {
	log = log.With("run", cfg.Run)
	j := &Job{cfg: cfg, versions: versions, log: log, bars: bars}
	quiet, err := j.listen()
	if err != nil {
		return err
	}
	defer quiet()
	if j.bucket, err = openBucket(ctx, "Bucket", cfg.Bucket, j.store()); err != nil {
		return err
	}
	defer j.bucket.Close()
	j.run = storage.OpenRun(j.bucket, cfg.Run, attempt(), log)

	if text, err := j.run.Result(ctx); !errors.Is(err, storage.ErrNotFound) {
		if err != nil {
			return err
		}
		done, err := finished(cfg.Recipe, text, j.key("result.json"))
		if err == nil {
			log.Info("done already", "result", j.key("result.json"), "top1", done.Figures.Top1)
		}
		return err
	}
	if err := j.open(ctx); err != nil {
		return err
	}
	defer j.close(ctx)
	if err := j.begin(ctx); err != nil {
		return err
	}
	at, err := j.restore(ctx)
	if err != nil {
		return err
	}
	j.recordAttempt(ctx, at, at)
	j.openBoard(at)
	j.countAttempts(ctx)
	if at.phase == pretraining {
		if at, err = j.pretrain(ctx, at); err != nil {
			return err
		}
	}
	result, err := j.probe(ctx, at)
	if err != nil {
		return err
	}
	return j.finish(ctx, at, result)
}

// openBucket opens the bucket that a setting names. What is neither refused nor out of reach is a setting that can never
// work.
func openBucket(ctx context.Context, field, url string, o storage.Options) (*storage.Bucket, error) {
	bucket, err := storage.Open(ctx, url, o)
	switch {
	case err == nil:
		return bucket, nil
	case errors.Is(err, storage.ErrUnreachable), errors.Is(err, storage.ErrDenied), ctx.Err() != nil:
		return nil, fmt.Errorf("%s: %w", variable(field), err)
	}
	return nil, &SettingsError{[]Fault{{variable(field), "", err.Error()}}}
}

// store says how this run's buckets behave.
func (j *Job) store() storage.Options {
	return storage.Options{Log: j.log, Patience: j.cfg.Patience, Moved: j.live.Transferred}
}

// open makes the shards and the device ready.
func (j *Job) open(ctx context.Context) error {
	j.live.Doing("opening the data")
	bucket, err := openBucket(ctx, "DataBucket", j.cfg.DataBucket, j.store())
	if err != nil {
		return err
	}
	if j.data, err = storage.OpenDataset(ctx, bucket, j.cfg.Data); errors.Is(err, storage.ErrNotFound) {
		err = &SettingsError{[]Fault{{variable("Data"), j.cfg.Data, err.Error()}}}
	}
	if err == nil {
		err = j.usable(j.data.Index)
	}
	if err != nil {
		return errors.Join(err, bucket.Close())
	}
	if j.cache, err = storage.NewCache(j.data, j.cfg.CacheDir, int64(j.cfg.CacheSize), j.log); err != nil {
		return errors.Join(err, bucket.Close())
	}
	j.live.Doing("opening the device")
	err = interruptible(ctx, func() (err error) {
		j.device, err = j.cfg.deviceOptions(&programs{j.cfg.programsFolder(), &runPrograms{ctx, j.bucket, j.run}, j.log}, j.log).Open(j.cfg.Backend)
		return err
	})
	if err != nil {
		return errors.Join(fmt.Errorf("%s_BACKEND: %w", Prefix, &DeviceError{err}), j.cache.Close())
	}
	if j.versions.Plugin = j.device.Plugin(); j.versions.Plugin != "" {
		text, _ := os.ReadFile(driverFile) // not there: another driver, or none
		j.versions.Driver = nvidiaDriver(text)
	}
	j.log.Info("opened", "device", j.device.Description(), "plugin", j.versions.Plugin, "driver", j.versions.Driver, "data", j.cfg.Data, "fingerprint", j.data.Fingerprint(),
		"classes", len(j.data.Index.Classes))
	return nil
}

// close leaves what is open to the end of the process when the context has ended: a program or a compiler may still run on
// the device, a worker of the cache may be at the checksum of a shard, and the time after a stop is short.
func (j *Job) close(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	j.device.Close()
	if err := j.cache.Close(); err != nil {
		j.log.Warn("closing the shard cache", "error", err)
	}
}

// usable says whether both phases can use the data: training and validation images, all with a class. It is looked at
// before days of pretraining, not after.
func (j *Job) usable(index storage.Index) error {
	faults := &SettingsError{}
	want := func(ok bool, format string, args ...any) {
		if !ok {
			faults.add(variable("Data"), j.cfg.Data, fmt.Sprintf(format, args...)+"; pack it again, or take other data")
		}
	}
	for _, split := range []string{trainSplit, validationSplit} {
		want(index.Counts[split] > 0, "it has no split %s, and the probe needs one", split)
		for _, shard := range index.Splits[split] {
			want(!slices.Contains(shard.Samples.Labels, storage.NoLabel), "shard %s has images without a class, and the probe needs one", shard.Name)
		}
	}
	want(len(index.Classes) > 1, "it has %d classes, and the probe needs two or more", len(index.Classes))
	return faults.orNil()
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

// DeviceError is a device that cannot be opened or that failed in the middle: another machine may do better.
type DeviceError struct{ Err error }

// Error is the backend's.
func (e *DeviceError) Error() string { return e.Err.Error() }

// Unwrap gives the backend's error.
func (e *DeviceError) Unwrap() error { return e.Err }
