package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

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
