// Package check is cijepa check: what a run would need, tried before it begins. It opens what a run
// opens, through job/machine, and begins nothing.
//
//	check.go    Run, and how findings are written
//	bucket.go   rights in the bucket, and the rate of an upload
//	data.go     the data, its shards and their cache
//	run.go      where the run stands
//	device.go   the device and its memory
//	steps.go    what an update takes, from timed steps
//	predict.go  the hours of the run, and what a preemption costs
package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/mask"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
	"github.com/cijepa/cijepa/storage/shards"
)

// A check ends within a minute, unless it compiles for a GPU.
const (
	retryTimeout = 15 * time.Second // of a bucket that does not answer
	stepsBudget  = 40 * time.Second // for timing steps
)

// Run tries what a run with these settings would need, before money is spent. It writes a line a
// finding to out: rights in the bucket, where the run stands, the data, the cache's space, the
// device, its memory, the time that the run would take, and what a preemption would cost. It does
// not begin the run, and it deletes what it writes below the run's prefix.
//
// All faults come back in one error: a *settings.Error for what can never work, joined with what is
// damaged or out of reach now; nil if there is none.
func Run(ctx context.Context, cfg settings.Config, out io.Writer, log *slog.Logger) (Estimate, error) {
	c := &check{cfg: cfg, out: out, log: log.With("run", cfg.Run), budget: stepsBudget, smi: machine.NvidiaSMI}
	err := c.run(ctx)
	return Estimate{Run: cfg.Run, Done: c.done, Seconds: c.seconds, Cost: c.seconds / 3600 * cfg.PricePerHour}, err
}

// Estimate is what is left to do of a run.
type Estimate struct {
	Run     string  `json:"run"`
	Done    bool    `json:"done"`
	Seconds float64 `json:"seconds"` // 0: done, or not known
	Cost    float64 `json:"cost"`    // 0: done, or not known
}

// check is one check of the settings. Each part builds on what the parts before it found, and does
// without what they could not find.
type check struct {
	cfg    settings.Config
	out    io.Writer
	log    *slog.Logger
	budget time.Duration                             // of measuring steps
	smi    func(ctx context.Context) ([]byte, error) // what nvidia-smi prints of the cards

	bucket   *storage.Bucket     // nil: cannot be used
	tidy     func()              // removes folders that the check made; nil: none
	data     *shards.Dataset     // nil: cannot be read
	recorded *settings.Recipe    // of the run, if it has begun
	done     bool                // the run has its result
	at       checkpoint.Position // of the newest checkpoint
	device   *model.Device       // nil: cannot be opened
	rate     float64             // of an upload, in bytes a second; 0: not known
	update   float64             // of an update, in seconds; 0: not known
	seconds  float64             // that are left of the run; 0: not known
	shape    mask.Shape          // see meanShape

	faults   settings.Error // of the settings
	errs     []error        // other faults
	oks      int
	warnings int
	writeErr error // of out
}

// run checks everything in turn.
func (c *check) run(ctx context.Context) error {
	c.ok("settings", "preset %s, run %s, seed %d: all can be read and fit together", c.cfg.Preset, c.cfg.Run, c.cfg.Seed)
	defer c.close()
	for _, part := range []func(context.Context){
		c.checkBucket, c.checkData, c.checkRun, c.checkCache, c.checkDevice, c.checkMemory,
		c.timeUpload, c.timeSteps, c.reportTime, c.reportPreemption,
	} {
		if part(ctx); ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if c.done {
			break // it needs nothing more
		}
	}
	return c.conclude()
}

// conclude prints the summary and returns all faults.
func (c *check) conclude() error {
	n := len(c.faults.Faults) + len(c.errs)
	verdict := "nothing that was looked at stands in the way of this run"
	if n > 0 {
		verdict = "this run cannot work as things are"
	}
	c.printf("\nok: %d, warnings: %d, faults: %d; %s\n", c.oks, c.warnings, n, verdict)
	switch {
	case c.writeErr != nil:
		return fmt.Errorf("printing what was found: %w", c.writeErr)
	case n == 0:
		return nil
	case len(c.errs) == 0:
		return &c.faults
	case len(c.faults.Faults) == 0:
		return errors.Join(c.errs...)
	}
	return allFaults(append([]error{&c.faults}, c.errs...))
}

// allFaults lists faults of settings and others in one message.
type allFaults []error

// Unwrap returns the faults. The first is a *settings.Error.
func (e allFaults) Unwrap() []error { return e }

// Error lists the faults, one a line.
func (e allFaults) Error() string {
	var lines []string
	for _, err := range e {
		if wrong := (*settings.Error)(nil); errors.As(err, &wrong) {
			for _, f := range wrong.Faults {
				lines = append(lines, f.String())
			}
			continue
		}
		lines = append(lines, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return fmt.Sprintf("%d things stand in the way:\n  %s", len(lines), strings.Join(lines, "\n  "))
}

// close removes what the check made and closes the bucket. The device stays open until the end of
// the process, because a trial may still use it.
func (c *check) close() {
	if c.tidy != nil {
		c.tidy()
	}
	if c.bucket != nil {
		if err := c.bucket.Close(); err != nil {
			c.log.Warn("closing the bucket", "error", err)
		}
	}
}

// ok writes a finding that stands in no way.
func (c *check) ok(subject, format string, args ...any) {
	c.oks++
	c.line("ok", subject, fmt.Sprintf(format, args...))
}

// warn writes a finding that a user should know of.
func (c *check) warn(subject, format string, args ...any) {
	c.warnings++
	c.line("warning", subject, fmt.Sprintf(format, args...))
}

// fault writes an error that would end the run, and keeps it. After ctx has ended it does nothing.
func (c *check) fault(ctx context.Context, subject string, err error) {
	if ctx.Err() != nil {
		return
	}
	var wrong *settings.Error
	if !errors.As(err, &wrong) {
		c.errs = append(c.errs, err)
		c.line("fault", subject, err.Error())
		return
	}
	for _, f := range wrong.Faults {
		c.faults.Faults = append(c.faults.Faults, f)
		c.line("fault", subject, f.String())
	}
}

// line writes one line: level, subject, text.
func (c *check) line(level, subject, text string) {
	c.printf("%-8s %-10s %s\n", level, subject, record.Printable(strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")))
}

// printf writes to out and keeps the first error.
func (c *check) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(c.out, format, args...); c.writeErr == nil {
		c.writeErr = err
	}
}
