package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/cijepa/cijepa/job/bench"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
)

// benchmark runs cijepa bench: it times the training step and prints one line of JSON.
func benchmark(ctx context.Context, args []string, versions record.Versions, out io.Writer, log *slog.Logger) error {
	var o bench.Options
	var tera float64
	flags := newFlags("bench", "bench [flags]: time the training step of these settings on CIJEPA_BACKEND, print one line of JSON")
	flags.IntVar(&o.Steps, "steps", 20, "timed steps of each mask shape")
	flags.IntVar(&o.Warmup, "warmup", 3, "steps before them")
	flags.IntVar(&o.Target, "target", 0, "with -context: tokens of a target block, one mask shape of any lengths instead of the run's own")
	flags.IntVar(&o.Context, "context", 0, "with -target: tokens of a context")
	flags.Float64Var(&tera, "peak", 0, "TFLOP/s of the device that the share counts from; 0: dense bfloat16 of the card, where its name is known")
	flags.StringVar(&o.Programs, "programs", "", "`FOLDER` of compiled programs of XLA, so that a second call begins warm; empty: everything is compiled")
	if _, err := parse(flags, args, 0, out); err != nil {
		return err
	}
	o.Peak = tera * 1e12
	cfg, err := settings.Load("", func(c *settings.Config) { c.Bucket = "mem://" }) // nothing is read or written
	if err != nil {
		return err
	}
	return bench.Run(ctx, cfg, o, versions, out, log)
}
