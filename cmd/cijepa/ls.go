package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/report"
	"github.com/cijepa/cijepa/storage"
)

const lsUsage = `ls [flags] BUCKET: list the runs of a bucket, finished or not: where they stand, top-1 of the probe and of the kNN beside
those of the untrained encoder in percent, hours, alarms.`

// listRuns is cijepa ls.
func listRuns(ctx context.Context, args []string, out io.Writer, log *slog.Logger) error {
	flags := newFlags("ls", lsUsage)
	asked := newRunList(flags)
	bucket, r, err := asked.open(ctx, flags, args, out, log)
	if err != nil {
		return err
	}
	defer bucket.Close()
	return asked.print(out, r, "")
}

// runList is what cijepa ls and cijepa report have in common: the runs, and their list.
type runList struct {
	runs   *patterns
	asJSON *bool
}

func newRunList(flags *flag.FlagSet) runList {
	l := runList{runs: new(patterns), asJSON: flags.Bool("json", false, "print the list as one line of JSON")}
	flags.Var(l.runs, "runs", "only runs whose name matches `GLOB`, such as 'demo-*'; can be given again, to lay some beside others")
	return l
}

// open parses the arguments of a command, and reads the runs that they ask for of the bucket that
// they name. The caller closes the bucket.
func (l runList) open(ctx context.Context, flags *flag.FlagSet, args []string, out io.Writer, log *slog.Logger) (*storage.Bucket, *report.Report, error) {
	rest, err := parse(flags, args, 1, out)
	if err != nil {
		return nil, nil, err
	}
	bucket, err := openBucket(ctx, rest[0], storage.Options{Log: log, MustExist: true})
	if err != nil {
		return nil, nil, err
	}
	r, err := l.read(ctx, bucket, rest[0])
	if err != nil {
		bucket.Close()
		return nil, nil, err
	}
	return bucket, r, nil
}

// read reads the runs of a bucket that were asked for.
func (l runList) read(ctx context.Context, bucket *storage.Bucket, url string) (*report.Report, error) {
	r, err := report.Read(ctx, bucket, references())
	if err != nil {
		return nil, err
	}
	r.Bucket, _, _ = strings.Cut(storage.Redacted(url), "?")
	if len(r.Runs)+len(r.Unreadable) == 0 {
		return nil, &usageError{fmt.Errorf("there is no run in %s: a run's bucket is its CIJEPA_BUCKET, and has a folder runs/", r.Bucket)}
	}
	other := func(name string) bool {
		run, _, _ := strings.Cut(name, "/") // of a probe
		return len(*l.runs) > 0 && !l.runs.match(run)
	}
	r.Runs = slices.DeleteFunc(r.Runs, func(run *history.Run) bool { return other(run.Name) })
	r.Probes = slices.DeleteFunc(r.Probes, func(p history.Probe) bool { return other(p.Run) })
	r.Unreadable = slices.DeleteFunc(r.Unreadable, func(u history.Unreadable) bool { return other(u.Run) })
	if len(r.Runs)+len(r.Unreadable) == 0 {
		return nil, &usageError{fmt.Errorf("no run in %s has a name like -runs %q: cijepa ls lists them all", r.Bucket, l.runs)}
	}
	return r, nil
}

// print prints the list, what could not be read, and where the page of a report lies.
func (l runList) print(out io.Writer, r *report.Report, page string) error {
	if *l.asJSON {
		type unreadable struct {
			Run string `json:"run"`
			Why string `json:"why"`
		}
		list := struct {
			Bucket     string          `json:"bucket"`
			Runs       []report.Listed `json:"runs"`
			Unreadable []unreadable    `json:"unreadable"`
			Page       string          `json:"page,omitempty"`
		}{r.Bucket, r.Listing(), []unreadable{}, page}
		for _, u := range r.Unreadable {
			list.Unreadable = append(list.Unreadable, unreadable(u))
		}
		return json.NewEncoder(out).Encode(list)
	}
	var text strings.Builder
	if err := r.WriteListing(&text); err != nil {
		return err
	}
	for _, u := range r.Unreadable {
		fmt.Fprintf(&text, "could not be read: %s: %s\n", record.Printable(u.Run), record.Printable(u.Why))
	}
	handOn := ""
	if answers := r.Answers(); len(answers) > 0 {
		handOn = r.HandOn(answers[0].Best)
	}
	for _, run := range r.Runs {
		handOn = cmp.Or(handOn, r.HandOn(run))
		for _, problem := range run.Problems {
			fmt.Fprintf(&text, "could not be read in part: %s: %s\n", record.Printable(run.Name), record.Printable(problem))
		}
	}
	if page != "" {
		fmt.Fprintf(&text, "%s, %d finished, %s: %s\n", plural(len(r.Runs), "run"), r.Finished(), plural(r.Alarms(), "alarm"), page)
		if handOn != "" {
			fmt.Fprintf(&text, "a teacher to the Hugging Face hub: %s\n", handOn)
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}
