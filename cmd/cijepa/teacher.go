package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/cijepa/cijepa/job"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/job/teacher"
	"github.com/cijepa/cijepa/storage"
)

// export is cijepa export: it writes an encoder of a run into a folder that timm and the hub read.
func export(ctx context.Context, args []string, out io.Writer, log *slog.Logger) error {
	flags := newFlags("export", "export [flags] runs/NAME: write an encoder of a run of CIJEPA_BUCKET into a folder that timm loads and the Hugging Face hub takes.")
	folder := flags.String("out", "", "`DIR` to write model.safetensors, config.json and README.md to; empty: the name of the run, and what is asked of it")
	step := flags.Int64("step", 0, "update of pretraining whose checkpoint is kept; 0: the end of the run")
	student := flags.Bool("student", false, "the student instead of the teacher")
	rest, err := parse(flags, args, 1, out)
	if err != nil {
		return err
	}
	var name settings.TeacherName
	if err := name.Decode(rest[0]); err != nil || name.Run == "" {
		return misused("export", "export takes runs/NAME, not %q", rest[0])
	}
	if name.Step = max(name.Step, *step); *step < 0 {
		return misused("export", "-step %d: an update of pretraining, counted from 1", *step)
	}
	if *folder == "" {
		if *folder = name.Run; name.Step > 0 {
			*folder += fmt.Sprintf("-step%d", name.Step)
		}
		if *student {
			*folder += "-student"
		}
	}
	url := settings.BucketURL()
	if url == "" {
		return misused("export", "%s is not set: the bucket of the run", settings.Variable("Bucket"))
	}
	bucket, err := openBucket(ctx, url, storage.Options{Log: log, MustExist: true})
	if err != nil {
		return err
	}
	defer bucket.Close()
	card, err := teacher.Export(ctx, bucket, name, *student, *folder, log)
	if errors.Is(err, teacher.ErrNone) {
		return &usageError{err}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, `the %s of %s after %d updates: %[4]s

  load it:   timm.create_model("local-dir:%[4]s", pretrained=True)
  hand it on: hf upload OWNER/NAME %[4]s     then timm.create_model("hf-hub:OWNER/NAME", pretrained=True)
`, card.Network, card.Run, card.Step, *folder)
	return err
}

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
