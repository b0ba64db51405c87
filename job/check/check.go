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
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
	"github.com/cijepa/cijepa/storage/shards"
)

// A check is to end within a minute, but where it compiles for a GPU: so much of it goes to a bucket that does not answer, and to measuring
// steps.
const (
	checkPatience = 15 * time.Second
	checkBudget   = 40 * time.Second
)

// Run tries, before money is spent, what a run with these settings would need, and writes one line a finding to out:
// rights in the bucket, where the run stands, the data, the cache's space, the device, its memory, the time that the run
// would take and what a preemption would cost. It does not begin the run, and what it writes below the run's prefix it
// deletes again. All faults come back in one error: a *SettingsError for what can never work, joined with what is out of
// reach now or damaged; nil when nothing stands in the way.
func Run(ctx context.Context, cfg settings.Config, out io.Writer, log *slog.Logger) error {
	c := &check{cfg: cfg, out: out, log: log.With("run", cfg.Run), budget: checkBudget, smi: machine.NvidiaSMI}
	return c.run(ctx)
}

// check is one examination of the settings. What one part finds out, later ones build on; where a part fails they do
// without it.
type check struct {
	cfg    settings.Config
	out    io.Writer
	log    *slog.Logger
	budget time.Duration                             // of measuring steps
	smi    func(ctx context.Context) ([]byte, error) // what nvidia-smi prints of the cards

	bucket *storage.Bucket     // nil: cannot be used
	tidy   func()              // removes folders that the check has made; nil: none
	data   *shards.Dataset     // nil: cannot be read
	theirs *settings.Recipe    // of the run, if it has begun
	done   bool                // the run has its result
	at     checkpoint.Position // of the newest checkpoint
	device *model.Device       // nil: cannot be opened
	rate   float64             // bytes a second of an upload; 0: not known
	update float64             // seconds of an update; 0: not known

	settings settings.Error
	errs     []error // faults that no setting mends
	oks      int
	warnings int
	writing  error // of out
}

// run examines everything in turn.
func (c *check) run(ctx context.Context) error {
	c.ok("settings", "preset %s, run %s, seed %d: all can be read and fit together", c.cfg.Preset, c.cfg.Run, c.cfg.Seed)
	defer c.close()
	for _, part := range []func(context.Context){
		c.lookAtBucket, c.lookAtData, c.lookAtRun, c.lookAtCache, c.lookAtDevice, c.lookAtMemory, c.timeUpload, c.timeSteps, c.tellTime, c.tellPreemption,
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
	faults := len(c.settings.Faults) + len(c.errs)
	verdict := "nothing that was looked at stands in the way of this run"
	if faults > 0 {
		verdict = "this run cannot work as things are"
	}
	c.printf("\nok: %d, warnings: %d, faults: %d; %s\n", c.oks, c.warnings, faults, verdict)
	switch {
	case c.writing != nil:
		return fmt.Errorf("printing what was found: %w", c.writing)
	case faults == 0:
		return nil
	case len(c.errs) == 0:
		return &c.settings
	case len(c.settings.Faults) == 0:
		return errors.Join(c.errs...)
	}
	return allFaults(append([]error{&c.settings}, c.errs...))
}

// allFaults are faults of settings and others, told in one list.
type allFaults []error

// Unwrap gives the faults: the first is a *SettingsError.
func (e allFaults) Unwrap() []error { return e }

// Error lists the faults, one a line.
func (e allFaults) Error() string {
	var lines []string
	for _, err := range e {
		if settings := (*settings.Error)(nil); errors.As(err, &settings) {
			for _, f := range settings.Faults {
				lines = append(lines, f.String())
			}
			continue
		}
		lines = append(lines, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return fmt.Sprintf("%d things stand in the way:\n  %s", len(lines), strings.Join(lines, "\n  "))
}

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

func (c *check) ok(subject, format string, args ...any) {
	c.oks++
	c.line("ok", subject, fmt.Sprintf(format, args...))
}

func (c *check) warn(subject, format string, args ...any) {
	c.warnings++
	c.line("warning", subject, fmt.Sprintf(format, args...))
}

// fault takes an error as Run would return it. What a stop made fail is none.
func (c *check) fault(ctx context.Context, subject string, err error) {
	if ctx.Err() != nil {
		return
	}
	var settings *settings.Error
	if !errors.As(err, &settings) {
		c.errs = append(c.errs, err)
		c.line("fault", subject, err.Error())
		return
	}
	for _, f := range settings.Faults {
		c.settings.Faults = append(c.settings.Faults, f)
		c.line("fault", subject, f.String())
	}
}

// wrong is a fault of one setting.
func (c *check) wrong(ctx context.Context, subject, field string, value any, format string, args ...any) {
	e := &settings.Error{}
	e.Add(settings.Variable(field), value, fmt.Sprintf(format, args...))
	c.fault(ctx, subject, e)
}

func (c *check) line(level, subject, text string) {
	c.printf("%-8s %-10s %s\n", level, subject, strings.ReplaceAll(strings.TrimSpace(text), "\n", "; "))
}

// printf keeps the first error: one line is as good as another to find out that nobody reads.
func (c *check) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(c.out, format, args...); c.writing == nil {
		c.writing = err
	}
}
