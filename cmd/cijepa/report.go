package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/cijepa/cijepa/job/report"
	"github.com/cijepa/cijepa/storage"
)

// reportPrefix is where -upload puts a report, beside the runs.
const reportPrefix = "report/"

// collect is cijepa report: it reads all runs of a bucket and writes their report.
func collect(ctx context.Context, args []string, out io.Writer, log *slog.Logger) error {
	flags := newFlags("report", "report [flags] BUCKET: read every run of a bucket, finished or not, and lay them side by side.")
	folder := flags.String("out", "cijepa-report", "`DIR` to write report.html, report.md, runs.csv and the charts to")
	upload := flags.Bool("upload", false, "also put them beside the runs, below "+reportPrefix)
	rest, err := parse(flags, args, 1, out)
	if err != nil {
		return err
	}
	bucket, err := openBucket(ctx, rest[0], storage.Options{Log: log, MustExist: true})
	if err != nil {
		return err
	}
	defer bucket.Close()
	r, err := report.Read(ctx, bucket, references())
	if err != nil {
		return err
	}
	r.Bucket, _, _ = strings.Cut(rest[0], "?")
	if len(r.Runs)+len(r.Unreadable) == 0 {
		return &usageError{fmt.Errorf("there is no run in %s: a run's bucket is its CIJEPA_BUCKET, and has a folder runs/", r.Bucket)}
	}
	files, err := r.Files()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*folder, 0o777); err != nil {
		return fmt.Errorf("making the folder that -out names: %w", err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(*folder, f.Name), f.Data, 0o666); err != nil {
			return fmt.Errorf("writing the report into the folder that -out names: %w", err)
		}
		if *upload {
			if _, err := bucket.PutBytes(ctx, reportPrefix+f.Name, f.Data); err != nil {
				return fmt.Errorf("uploading the report: %w", err)
			}
		}
	}
	return summary(out, r, filepath.Join(*folder, "report.html"))
}

// summary says what the report holds, and what it could not read.
func summary(out io.Writer, r *report.Report, page string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%d runs, %d finished, %d alarms: %s\n", len(r.Runs), r.Finished(), r.Alarms(), page)
	for _, u := range r.Unreadable {
		fmt.Fprintf(&text, "could not be read: %s: %s\n", u.Run, u.Why)
	}
	for _, run := range r.Runs {
		for _, problem := range run.Problems {
			fmt.Fprintf(&text, "could not be read in part: %s: %s\n", run.Name, problem)
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}
