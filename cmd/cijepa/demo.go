package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/cijepa/cijepa/job"
	"github.com/cijepa/cijepa/job/demo"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

// demonstrate runs cijepa demo: it packs the demonstration's data into the bucket (CIJEPA_BUCKET,
// or ./cijepa-demo), runs the job on it and prints the result.
func demonstrate(ctx context.Context, args []string, versions record.Versions, out, bars io.Writer, log *slog.Logger) error {
	if _, err := parse(newFlags("demo", demoUsage), args, 0, out); err != nil {
		return err
	}
	folder, err := filepath.Abs("cijepa-demo")
	if err != nil {
		return err
	}
	cfg, err := settings.Load(settings.Demo, func(c *settings.Config) {
		c.Bucket = "file://" + filepath.ToSlash(folder)
	})
	if err != nil {
		return err
	}
	if cfg.Preset != settings.Demo {
		return &usageError{fmt.Errorf("cijepa demo runs the preset demo; for CIJEPA_PRESET=%s call cijepa alone", cfg.Preset)}
	}
	ignoreSIGPIPE()
	start := time.Now()
	bucket, err := openBucket(ctx, cfg.DataBucket, storage.Options{Log: log})
	if err != nil {
		return err
	}
	defer bucket.Close()
	if err := demo.Pack(ctx, bucket, cfg.Data); err != nil {
		return fmt.Errorf("packing the demonstration: %w", err)
	}
	log.Info("packed", "data", cfg.Data, "seconds", time.Since(start).Seconds())
	if err := job.Run(ctx, cfg, versions, log, bars); err != nil {
		return err
	}
	return summarise(ctx, cfg, out, log)
}

// summarise prints the result of a finished run.
func summarise(ctx context.Context, cfg settings.Config, out io.Writer, log *slog.Logger) error {
	bucket, err := openBucket(ctx, cfg.Bucket, storage.Options{Log: log, MustExist: true})
	if err != nil {
		return err
	}
	defer bucket.Close()
	run := checkpoint.OpenRun(bucket, cfg.Run, "reader", log)
	text, err := run.Result(ctx)
	if err != nil {
		return fmt.Errorf("reading the result of the demonstration: %w", err)
	}
	var r settings.Result
	if err := record.Unseal(text, &r); err != nil {
		return fmt.Errorf("%s: %w: %w", run.Key("result.json"), storage.ErrCorrupt, err)
	}
	f := r.Metrics
	fmt.Fprintf(out, "\n%s: %d updates of %d images, %.0f images/s\n\n", r.Run, f.Updates, r.Recipe.Batch, r.Stats.ImagesPerSecond)
	fmt.Fprintf(out, "  top-1                    pretrained   untrained\n")
	line := func(what string, pretrained, untrained float64) {
		fmt.Fprintf(out, "    %-22s %6.2f %%    %6.2f %%\n", what, pretrained, untrained)
	}
	for _, d := range f.Depths {
		line(fmt.Sprintf("linear probe, depth %d", d.Depth), d.Top1, d.UntrainedTop1)
	}
	if f.KNNTop1 != nil && f.UntrainedKNN != nil {
		line("kNN", *f.KNNTop1, *f.UntrainedKNN)
	}
	if f.Ridge != nil {
		line("ridge", f.Ridge.Top1, f.Ridge.UntrainedTop1)
	}
	fmt.Fprintf(out, "  standard error            %.2f points, %d validation images\n\n", f.StandardError, r.Data.ValidationSamples)
	if f.Ridge != nil {
		fmt.Fprintf(out, "  ridge without an encoder, on the same images\n")
		fmt.Fprintf(out, "    raw patches, averaged  %6.2f %%   the floor: probes average the tokens of an encoder too\n", f.Ridge.PatchesTop1)
		fmt.Fprintf(out, "    raw pixels, in place   %6.2f %%   these see where things are, in images that are all centred\n\n", f.Ridge.PixelsTop1)
	}
	fmt.Fprintf(out, "  all of it: %s, runs/%s/result.json\n", storage.Redacted(cfg.Bucket), r.Run)
	_, err = fmt.Fprintf(out, "  as a page, beside other runs: cijepa report '%s'\n", storage.Redacted(cfg.Bucket))
	return err
}
