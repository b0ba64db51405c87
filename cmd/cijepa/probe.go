package main

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/cijepa/cijepa/job"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/job/teacher"
	"github.com/cijepa/cijepa/storage"
)

const probeUsage = `probe: train the linear probe and the kNN of a run on a frozen teacher, on any packed data, and write the figures.
CIJEPA_TEACHER names the teacher (empty: that of CIJEPA_RUN), CIJEPA_DATA the data, CIJEPA_PROBE_SHARE the share of the labels.
Whatever else is not set is as in the teacher's run. The figures are runs/NAME/probes/DATA[-SHARE].json. Started again it goes on.`

// probeTeacher is cijepa probe.
func probeTeacher(ctx context.Context, args []string, versions record.Versions, out, bars io.Writer, log *slog.Logger) error {
	if _, err := parse(newFlags("probe", probeUsage), args, 0, out); err != nil {
		return err
	}
	cfg, name, err := settings.LoadProbe(func(c settings.Config) (settings.RunRecord, error) {
		return recordOf(ctx, c, log)
	})
	if err != nil {
		return err
	}
	ignoreSIGPIPE()
	return job.Probe(ctx, cfg, name, versions, log, bars)
}

// recordOf reads run.json of the run whose teacher is to be probed.
func recordOf(ctx context.Context, c settings.Config, log *slog.Logger) (settings.RunRecord, error) {
	bucket, err := machine.OpenBucket(ctx, "Bucket", c.Bucket, storage.Options{Log: log, RetryTimeout: c.RetryTimeout, MustExist: true})
	if err != nil {
		return settings.RunRecord{}, err
	}
	defer bucket.Close()
	run, err := teacher.OpenRun(ctx, bucket, c.Teacher.Run, log)
	if errors.Is(err, teacher.ErrNone) {
		return settings.RunRecord{}, settings.NewError("Teacher", c.Teacher, err.Error())
	}
	if err != nil {
		return settings.RunRecord{}, err
	}
	return run.Record, nil
}
