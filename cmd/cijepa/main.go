// Command cijepa pretrains a ViT with cI-JEPA from shards in a bucket, probes it and writes the result back. Everything
// is told by environment variables; cijepa config lists them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/cijepa/cijepa/job"
)

// version and commit are stamped by the linker: -ldflags "-X main.version=... -X main.commit=...". Without it the commit is
// the checkout's, where Go knows it.
var (
	version = "devel"
	commit  string
)

const usage = `cijepa pretrains a ViT with cI-JEPA from shards in a bucket, probes it and writes the result back.

  cijepa                    run, or go on with, the run that the environment describes
  cijepa check              try what that run needs, and predict its hours, before it begins
  cijepa bench              time the training step of these settings without data, print one line of JSON
  cijepa demo               pack a few thousand real images, pretrain a tiny ViT on them, probe it: minutes on two cores
  cijepa pack SOURCE BUCKET turn a folder of images into shards in a bucket
  cijepa index BUCKET       write the index of shards that another program packed
  cijepa report BUCKET      lay all runs of a bucket side by side: a page, tables, charts
  cijepa config             print all settings and presets
  cijepa version            print the versions of what would compute a run

Settings are environment variables that begin with CIJEPA_; cijepa config lists them.
`

// lastResort is how long after the deadline of the last checkpoint the process ends whatever it is at: a device may never
// answer. SIGKILL would come next, and 137 counts as a failure of the Job.
const lastResort = 2 * time.Second

// errUsage is a command line that means nothing.
var errUsage = errors.New("see cijepa help")

func main() {
	// A stop gives the run a moment to save; a second signal must not take that moment away, so both stay caught.
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	var bars io.Writer
	if term.IsTerminal(int(os.Stderr.Fd())) {
		bars = os.Stderr
	}
	log := newLogger(os.Stderr, bars != nil)
	slog.SetDefault(log) // the cloud libraries print through package log
	go func() {
		for range signals {
			if ctx.Err() == nil { // the first counts
				cancel(job.Stop{At: time.Now()})
				time.AfterFunc(job.StopDeadline()+lastResort, func() {
					log.Error("ended", "error", "something did not stop in time; what was committed is whole, start the same run again to go on", "exit", exitStopped)
					os.Exit(exitStopped)
				})
			}
		}
	}()
	out := os.Stdout
	os.Stdout = os.Stderr // what a library prints is no output of a command
	err := command(ctx, os.Args[1:], out, bars, log)
	if err != nil && ctx.Err() != nil && !errors.Is(err, job.ErrStopped) {
		log.Warn("stopped in the middle of", "error", err.Error())
		err = job.ErrStopped // whatever the stop made fail
	}
	code := exitCode(err)
	if code != exitDone {
		log.Error("ended", "error", err.Error(), "exit", code)
	}
	os.Exit(code)
}

// command runs one command line.
func command(ctx context.Context, args []string, out, bars io.Writer, log *slog.Logger) error {
	name, rest := "", args
	if len(args) > 0 {
		name, rest = args[0], args[1:]
	}
	versions := job.BuildVersions(version, commit)
	switch name {
	case "":
		cfg, err := job.Load("", nil)
		if err != nil {
			return err
		}
		return job.Run(ctx, cfg, versions, log, bars)
	case "check":
		cfg, err := job.Load("", nil)
		if err != nil {
			return err
		}
		return job.Check(ctx, cfg, out, log)
	case "bench":
		return benchmark(ctx, rest, versions, out, log)
	case "demo":
		return demonstrate(ctx, versions, out, bars, log)
	case "pack":
		return pack(ctx, rest, out, bars, log)
	case "index":
		return reindex(ctx, rest, out, bars, log)
	case "report":
		return collect(ctx, rest, out, log)
	case "config":
		_, err := io.WriteString(out, job.Usage())
		return err
	case "version":
		_, err := fmt.Fprintf(out, "%+v\n", versions)
		return err
	case "help", "-h", "--help":
		_, err := io.WriteString(out, usage)
		return err
	}
	return fmt.Errorf("%w: there is no command %q", errUsage, name)
}
