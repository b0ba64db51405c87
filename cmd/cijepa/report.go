package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/report"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
)

// reportPrefix is the folder of the bucket to which -upload copies a report.
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
	return printSummary(out, r, filepath.Join(*folder, "report.html"))
}

// printSummary prints what the report holds, and what could not be read.
func printSummary(out io.Writer, r *report.Report, page string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%d runs, %d finished, %d alarms: %s\n", len(r.Runs), r.Finished(), r.Alarms(), page)
	for _, u := range r.Unreadable {
		fmt.Fprintf(&text, "could not be read: %s: %s\n", u.Run, u.Why)
	}
	handOn := ""
	for _, run := range r.Runs {
		handOn = cmp.Or(handOn, r.HandOn(run))
		for _, problem := range run.Problems {
			fmt.Fprintf(&text, "could not be read in part: %s: %s\n", run.Name, problem)
		}
	}
	if handOn != "" {
		fmt.Fprintf(&text, "a teacher to the Hugging Face hub: %s\n", handOn)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// references are the post's runs, with which a report compares ours.
func references() []report.Reference {
	var all []report.Reference
	for _, p := range settings.Presets() {
		c := settings.Defaults()
		p.Apply(&c)
		var recipe history.Recipe
		text, err := json.Marshal(c.Recipe)
		if err = errors.Join(err, json.Unmarshal(text, &recipe)); err != nil {
			panic(err) // they are plain fields
		}
		all = append(all, report.Reference{
			Preset: p.Name, Depths: fmt.Sprint(p.Depths), Epochs: p.Epochs,
			Alpha: fmt.Sprint(p.AllToLastWeight), Beta: fmt.Sprint(p.LastToLastWeight), Rows: p.IntermediateRows, Recipe: recipe, PostTop1: p.PostTop1,
		})
	}
	return all
}
