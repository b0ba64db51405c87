package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cijepa/cijepa/job"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/job/sweep"
)

// sweepUsage is the help of cijepa sweep.
const sweepUsage = `sweep FILE: run the lines of a file one after another on this machine; or, with flags, print such a file.

A line is the settings of a run as words NAME=VALUE, quoted as in a shell; # begins a comment. It is laid over the
environment. All lines are checked before the first run begins. A line that fails does not hold up the next one; started
again, the sweep goes on where it was, and lines that are done take seconds. The exit code is 0 when all lines are done,
75 when starting it again can help a line, else that of a line that needs you.

  cijepa sweep -table -seeds 3 > rows; cijepa sweep rows
  cijepa sweep -alpha 0.3,0.5 -beta 0.6,0.8 -seeds 2 > rows`

// sweepRuns is cijepa sweep.
func sweepRuns(ctx context.Context, args []string, out io.Writer, log *slog.Logger) error {
	flags := newFlags("sweep", sweepUsage)
	table := flags.Bool("table", false, "print the rows of the post's table")
	alphas := flags.String("alpha", "", "print a grid with these values of CIJEPA_ALL_TO_LAST_WEIGHT, a `LIST` such as 0.3,0.5 (- leaves it unset)")
	betas := flags.String("beta", "", "print a grid with these values of CIJEPA_LAST_TO_LAST_WEIGHT, a `LIST`")
	seeds := flags.Int("seeds", 1, "lines for each row, with the seeds from 0 to one less than `N`")
	rest, err := parse(flags, args, anyArguments, out)
	if err != nil {
		return err
	}
	grid := *alphas != "" || *betas != ""
	switch {
	case *table && grid:
		return misused("sweep", "-table and a grid are two sweeps")
	case *seeds < 1:
		return misused("sweep", "-seeds %d: 1 or more", *seeds)
	case (*table || grid) && len(rest) > 0:
		return misused("sweep", "a file and flags that print one: %q", rest[0])
	case *table:
		return printLines(out, sweep.Table(*seeds))
	case grid:
		return printLines(out, sweep.Grid(*alphas, *betas, *seeds))
	case len(rest) != 1:
		return misused("sweep", "sweep takes a file, or -table, -alpha or -beta")
	}
	return runSweep(ctx, rest[0], out, log)
}

func printLines(out io.Writer, lines []string) error {
	_, err := fmt.Fprintln(out, strings.Join(lines, "\n"))
	return err
}

// runSweep runs every line in a process of its own: a device is given back only at the end of a
// process, and a line that crashes takes no other with it.
func runSweep(ctx context.Context, path string, out io.Writer, log *slog.Logger) error {
	configs, err := settings.LoadSweep(path, "", nil)
	if err != nil {
		return err
	}
	ignoreSIGPIPE()
	failed := &sweepError{lines: len(configs)}
	for i, c := range configs {
		log.Info("sweep", "line", i, "of", len(configs), "run", c.Run)
		code, err := runLine(ctx, path, i, out)
		if ctx.Err() != nil {
			return job.ErrStopped
		}
		if err != nil {
			return fmt.Errorf("starting line %d of the sweep: %w", i, err)
		}
		if code != exitDone {
			log.Warn("a line of the sweep failed; the next ones go on", "line", i, "run", c.Run, "exit", code)
			failed.add(c.Run, code)
		}
	}
	if len(failed.runs) > 0 {
		return failed
	}
	log.Info("the sweep is done", "lines", len(configs))
	return nil
}

// runLine runs a command of this program, or the run, for one line, as a pod of an Indexed Job
// would. It returns its exit code.
func runLine(ctx context.Context, path string, index int, out io.Writer, command ...string) (code int, err error) {
	program, err := os.Executable()
	if err != nil {
		return 0, err
	}
	line := exec.CommandContext(ctx, program, command...)
	line.Env = append(line.Environ(), settings.SweepEnvironment(path, index)...)
	line.Stdout, line.Stderr = out, os.Stderr
	line.Cancel = func() error { return line.Process.Signal(syscall.SIGTERM) }
	line.WaitDelay = settings.StopDeadline() + exitMargin + time.Second
	if err := line.Start(); err != nil {
		return 0, err
	}
	_ = line.Wait() // its exit code says what there is to say
	if status, ok := line.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return line.ProcessState.ExitCode(), nil
}

// sweepError holds the lines of a sweep that failed.
type sweepError struct {
	lines int
	runs  []string // with exit codes
	code  int
}

// add takes the exit code of a line. A code that another start can mend replaces one that it
// cannot.
func (e *sweepError) add(run string, code int) {
	e.runs = append(e.runs, run+" (exit code "+strconv.Itoa(code)+")")
	switch code {
	case exitSettings, exitData:
		if e.code == 0 {
			e.code = code
		}
	default:
		e.code = exitDevice
	}
}

// Error lists the runs.
func (e *sweepError) Error() string {
	return fmt.Sprintf("%d of %d lines failed: %s; start the sweep again to try them again", len(e.runs), e.lines, strings.Join(e.runs, ", "))
}
