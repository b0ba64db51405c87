package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"

	"github.com/cijepa/cijepa/job/check"
	"github.com/cijepa/cijepa/job/settings"
)

// checkUsage is the help of cijepa check.
const checkUsage = `check: try what the run of these settings needs, and predict its hours, before it begins.
The settings are those that cijepa itself would read: CIJEPA_BUCKET at least. Nothing of the run is begun.
With CIJEPA_SWEEP and no JOB_COMPLETION_INDEX it checks every line, and adds up the hours of all.`

// runCheck is cijepa check.
func runCheck(ctx context.Context, args []string, out io.Writer, log *slog.Logger) error {
	flags := newFlags("check", checkUsage)
	asJSON := flags.Bool("json", false, "print one line of JSON instead: run, done, seconds, cost and the findings")
	if _, err := parse(flags, args, 0, out); err != nil {
		return err
	}
	if path := settings.WholeSweep(); path != "" {
		if *asJSON {
			return misused("check", "-json is for one run, and %s names a sweep: set JOB_COMPLETION_INDEX", settings.Variable("Sweep"))
		}
		return checkSweep(ctx, path, out)
	}
	cfg, err := settings.Load("", nil)
	if err != nil {
		return err
	}
	lines := out
	if *asJSON {
		lines = io.Discard
	}
	found, err := check.Run(ctx, cfg, lines, log)
	if *asJSON {
		err = cmp.Or(err, json.NewEncoder(out).Encode(found))
	}
	return err
}

// checkSweep checks the first of all lines that differ by their seed alone, each in a process of
// its own because a device is given back only at the end of a process, and adds up what all lines
// will take.
func checkSweep(ctx context.Context, path string, out io.Writer) error {
	configs, err := settings.LoadSweep(path, "", nil)
	if err != nil {
		return err
	}
	checked := map[string]check.Report{}
	failed := &sweepError{lines: len(configs)}
	var seconds, cost float64
	unknown := 0
	for i, c := range configs {
		seedless := c.Recipe
		seedless.Seed = 0
		key, err := json.Marshal(seedless)
		if err != nil {
			return err
		}
		found, seen := checked[string(key)]
		if !seen {
			fmt.Fprintf(out, "line %d, run %s\n", i, c.Run)
			var printed bytes.Buffer
			code, err := runLine(ctx, path, i, &printed, "check", "-json")
			if err != nil {
				return err
			}
			if code != exitDone {
				failed.add(c.Run, code)
			}
			if json.Unmarshal(printed.Bytes(), &found) != nil && code == exitDone {
				return fmt.Errorf("line %d of the sweep printed no findings: %q", i, printed.String())
			}
			for _, f := range found.Findings {
				fmt.Fprintln(out, f)
			}
			fmt.Fprintln(out)
			checked[string(key)] = found
		}
		seconds, cost = seconds+found.Seconds, cost+found.Cost
		if found.Seconds == 0 && !found.Done {
			unknown++
		}
	}
	fmt.Fprintf(out, "%d lines, of which %d were tried (the others differ by their seed alone): %s of a machine in all", len(configs), len(checked), settings.FormatSeconds(seconds))
	if cost > 0 {
		fmt.Fprintf(out, ", %.2f of money at the price of an hour", cost)
	}
	if unknown > 0 {
		fmt.Fprintf(out, "; of %d lines the time is not known", unknown)
	}
	fmt.Fprintln(out)
	if len(failed.runs) > 0 {
		return failed
	}
	return nil
}
