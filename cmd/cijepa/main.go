package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/cijepa/cijepa/job"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/settings"
)

// version and commit are set by the linker: -ldflags "-X main.version=... -X main.commit=...".
// Without it the commit is that of the checkout, where Go knows it.
var (
	version = "devel"
	commit  string
)

// exitMargin is the time between the deadline of the last checkpoint and os.Exit. A device may
// never answer, and SIGKILL would come next: Kubernetes counts 137 as a failure of the Job.
const exitMargin = 2 * time.Second

func main() {
	// After a signal the run saves its last checkpoint. A second signal must not cut that short, so
	// signals stay caught.
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		signal.Notify(signals, syscall.SIGHUP)
	}
	var bars io.Writer
	if term.IsTerminal(int(os.Stderr.Fd())) {
		bars = os.Stderr
	}
	log := newLogger(os.Stderr, bars != nil)
	slog.SetDefault(log) // cloud libraries print through package log
	go func() {
		for range signals {
			if ctx.Err() == nil { // only the first signal counts
				cancel(job.Stop{At: time.Now()})
				time.AfterFunc(settings.StopDeadline()+exitMargin, func() {
					log.Error("ended", "error", "something did not stop in time; what was committed is whole, start the same run again to go on", "exit", exitStopped)
					os.Exit(exitStopped)
				})
			}
		}
	}()
	out := os.Stdout
	os.Stdout = os.Stderr // so that no line of a library mixes with the output of a command
	err := command(ctx, os.Args[1:], out, bars, log)
	if err != nil && ctx.Err() != nil && !errors.Is(err, job.ErrStopped) {
		log.Warn("stopped in the middle of", "error", err.Error())
		err = job.ErrStopped // an error that the stop caused
	}
	code := exitCode(err)
	switch code {
	case exitDone:
	case exitStopped: // no error
		log.Warn("ended", "why", err.Error(), "exit", code)
	default:
		log.Error("ended", "error", err.Error(), "exit", code)
	}
	os.Exit(code)
}

// command runs one command line.
func command(ctx context.Context, args []string, out, bars io.Writer, log *slog.Logger) error {
	versions := machine.BuildVersions(version, commit)
	if len(args) == 0 {
		cfg, err := settings.Load("", nil)
		if err != nil {
			return err
		}
		ignoreSIGPIPE()
		return job.Run(ctx, cfg, versions, log, bars)
	}
	switch name, rest := args[0], args[1:]; name {
	case "check":
		return runCheck(ctx, rest, out, log)
	case "bench":
		return benchmark(ctx, rest, versions, out, log)
	case "demo":
		return demonstrate(ctx, rest, versions, out, bars, log)
	case "pack":
		return runPack(ctx, rest, out, bars, log)
	case "index":
		return reindex(ctx, rest, out, bars, log)
	case "sweep":
		return sweepRuns(ctx, rest, out, log)
	case "probe":
		return probeTeacher(ctx, rest, versions, out, bars, log)
	case "export":
		return export(ctx, rest, out, log)
	case "report":
		return collect(ctx, rest, out, log)
	case "health":
		return checkHealth(ctx, rest, out)
	case "config":
		return show(newFlags(name, configUsage), rest, out, settings.Usage())
	case "version", "-version", "--version":
		return show(newFlags("version", versionUsage), rest, out, fmt.Sprintf("%+v\n", versions))
	case "help", "-h", "-help", "--help":
		if len(rest) == 1 && rest[0] != "help" && !strings.HasPrefix(rest[0], "-") {
			return command(ctx, []string{rest[0], "-h"}, out, bars, log)
		}
		_, err := io.WriteString(out, usage)
		return err
	default:
		return misused("", "there is no command %q", name)
	}
}

// ignoreSIGPIPE lets a run go on after the reader of its log has gone: SIGPIPE would end the
// process.
func ignoreSIGPIPE() { signal.Ignore(syscall.SIGPIPE) }

// show runs a command that prints one text.
func show(flags *flag.FlagSet, args []string, out io.Writer, text string) error {
	if _, err := parse(flags, args, 0, out); err != nil {
		return err
	}
	_, err := io.WriteString(out, text)
	return err
}
