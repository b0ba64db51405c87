// Package check is cijepa check: what a run would need, tried before it begins. It opens what a run
// opens, through job/machine, and begins nothing.
//
//	check.go    Run and Report, and how findings are written
//	bucket.go   rights in the bucket, and the rate of an upload
//	data.go     the data, its shards and their cache
//	run.go      where the run stands
//	device.go   the device, its memory and the machine's
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
// finding to out as it goes: rights in the bucket, where the run stands, the data, the cache's
// space, the device, its memory, the time that the run would take, and what a preemption would
// cost. It does not begin the run, and it deletes what it writes below the run's prefix.
//
// If there are faults, the error says how many: out and the report say which. It wraps a
// *settings.Error of what can never work, and what is damaged or out of reach now.
func Run(ctx context.Context, cfg settings.Config, out io.Writer, log *slog.Logger) (Report, error) {
	c := &check{cfg: cfg, out: out, log: log.With("run", cfg.Run), budget: stepsBudget, smi: machine.NvidiaSMI, host: machine.HostMemory}
	err := c.run(ctx)
	return Report{
		Run: cfg.Run, Done: c.done, Seconds: c.seconds, Cost: c.seconds / 3600 * cfg.PricePerHour, Findings: c.findings,
	}, err
}

// Report is what a check has found, and what is left to do of the run.
type Report struct {
	Run      string    `json:"run"`
	Done     bool      `json:"done"`
	Seconds  float64   `json:"seconds"` // 0: done, or not known
	Cost     float64   `json:"cost"`    // 0: done, or not known
	Findings []Finding `json:"findings"`
}

// Finding is one line of a check.
type Finding struct {
	Level   string `json:"level"`   // OK, Warning or Fault
	Subject string `json:"subject"` // such as bucket or memory
	Text    string `json:"text"`
}

// The levels of findings: what stands in no way, what a user should know of, and what would end the
// run.
const (
	OK      = "ok"
	Warning = "warning"
	Fault   = "fault"
)

// String writes a finding as a line of the table, without its end.
func (f Finding) String() string { return fmt.Sprintf("%-8s %-10s %s", f.Level, f.Subject, f.Text) }

// check is one check of the settings. Each part builds on what the parts before it found, and does
// without what they could not find.
type check struct {
	cfg    settings.Config
	out    io.Writer
	log    *slog.Logger
	budget time.Duration                             // of measuring steps
	smi    func(ctx context.Context) ([]byte, error) // what nvidia-smi prints of the cards
	host   func() machine.Memory

	bucket   *storage.Bucket     // nil: cannot be used
	tidy     func()              // removes folders that the check made; nil: none
	data     *shards.Dataset     // nil: cannot be read
	recorded *settings.Recipe    // of the run, if it has begun
	done     bool                // the run has its result
	at       checkpoint.Position // of the newest checkpoint
	device   *model.Device       // nil: cannot be opened
	rate     float64             // of an upload, in bytes a second; 0: not known
	slow     bool                // the Go backend and a network of full size
	update   float64             // of an update, in seconds; 0: not known
	seconds  float64             // that are left of the run; 0: not known
	shape    mask.Shape          // see meanShape

	findings []Finding
	faults   settings.Error // of the settings
	errs     []error        // other faults
	writeErr error          // of out
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
	n := c.count(Fault)
	verdict := "nothing that was looked at stands in the way of this run"
	if n > 0 {
		verdict = "this run cannot work as things are"
	}
	c.printf("\nok: %d, warnings: %d, faults: %d; %s\n", c.count(OK), c.count(Warning), n, verdict)
	switch {
	case c.writeErr != nil:
		return fmt.Errorf("printing what was found: %w", c.writeErr)
	case n == 0:
		return nil
	}
	all := faults{n, c.errs}
	if len(c.faults.Faults) > 0 {
		all.errs = append(all.errs, &c.faults)
	}
	return all
}

// count is the number of findings of a level.
func (c *check) count(level string) (n int) {
	for _, f := range c.findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

// faults are those of one check, each of which has been printed.
type faults struct {
	n    int
	errs []error // those of settings are one *settings.Error
}

// Unwrap returns the faults.
func (f faults) Unwrap() []error { return f.errs }

// Error says how many there are.
func (f faults) Error() string {
	if f.n == 1 {
		return "1 fault stands in the way of this run"
	}
	return fmt.Sprintf("%d faults stand in the way of this run", f.n)
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
	c.line(OK, subject, fmt.Sprintf(format, args...))
}

// warn writes a finding that a user should know of.
func (c *check) warn(subject, format string, args ...any) {
	c.line(Warning, subject, fmt.Sprintf(format, args...))
}

// fault writes an error that would end the run, and keeps it. After ctx has ended it does nothing.
func (c *check) fault(ctx context.Context, subject string, err error) {
	if ctx.Err() != nil {
		return
	}
	wrong, ok := errors.AsType[*settings.Error](err)
	if !ok {
		c.errs = append(c.errs, err)
		c.line(Fault, subject, err.Error())
		return
	}
	for _, f := range wrong.Faults {
		c.faults.Faults = append(c.faults.Faults, f)
		c.line(Fault, subject, f.String())
	}
}

// line keeps a finding and writes its line.
func (c *check) line(level, subject, text string) {
	f := Finding{level, subject, record.Printable(strings.ReplaceAll(strings.TrimSpace(text), "\n", "; "))}
	c.findings = append(c.findings, f)
	c.printf("%s\n", f)
}

// printf writes to out and keeps the first error.
func (c *check) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(c.out, format, args...); c.writeErr == nil {
		c.writeErr = err
	}
}
