package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	_ "github.com/gomlx/compute/gobackend"
	_ "gocloud.dev/blob/azureblob"
	_ "gocloud.dev/blob/fileblob"
	_ "gocloud.dev/blob/gcsblob"
	_ "gocloud.dev/blob/memblob"
	_ "gocloud.dev/blob/s3blob"
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
	terminal := term.IsTerminal(int(os.Stderr.Fd()))
	asJSON := settings.JSONLog(terminal)
	var bars io.Writer
	if terminal && !asJSON {
		bars = os.Stderr
	}
	log := newLogger(os.Stderr, asJSON, terminal)
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
	logLibraries(log)
	err := command(ctx, os.Args[1:], out, bars, log)
	if err != nil && ctx.Err() != nil && !errors.Is(err, job.ErrStopped) {
		log.Warn("stopped in the middle of", "error", err.Error())
		err = job.ErrStopped // an error that the stop caused
	}
	code := exitCode(err)
	logEnd(os.Stderr, asJSON, terminal, log, err, code)
	os.Exit(code)
}

// command runs one command line.
func command(ctx context.Context, args []string, out, bars io.Writer, log *slog.Logger) error {
	versions := machine.BuildVersions(version, commit)
	if len(args) == 0 {
		cfg, err := settings.Load("", nil)
		if err != nil {
			return withFirstSteps(err)
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
	case "ls":
		return listRuns(ctx, rest, out, log)
	case "report":
		return collect(ctx, rest, out, log)
	case "health":
		return checkHealth(ctx, rest, out)
	case "config":
		return showConfig(ctx, rest, out, log)
	case "version", "-version", "--version":
		return showVersions(rest, versions, out)
	case "help", "-h", "-help", "--help":
		if len(rest) == 1 && rest[0] != "help" && !strings.HasPrefix(rest[0], "-") {
			return command(ctx, []string{rest[0], "-h"}, out, bars, log)
		}
		_, err := io.WriteString(out, usage)
		return err
	default:
		if near := settings.Nearest(name, commandNames(), 2); near != "" {
			return &usageError{fmt.Errorf("there is no command %q; did you mean %s?", name, near)}
		}
		return misused("", "there is no command %q", name)
	}
}

// withFirstSteps says to whom lacks nothing but a bucket what there is to type.
func withFirstSteps(err error) error {
	if wrong, ok := errors.AsType[*settings.Error](err); !ok || len(wrong.Faults) != 1 || settings.BucketURL() != "" {
		return err
	}
	return &usageError{errors.New("a run needs a bucket: set CIJEPA_BUCKET to its URL, such as s3://name?region=eu-west-1 or file:///folder\n" +
		"cijepa demo needs none, and shows everything in minutes; cijepa help lists the commands, and cijepa config the settings")}
}

// ignoreSIGPIPE lets a run go on after the reader of its log has gone: SIGPIPE would end the
// process.
func ignoreSIGPIPE() { signal.Ignore(syscall.SIGPIPE) }
