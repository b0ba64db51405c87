package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	asked := newRunList(flags)
	folder := flags.String("out", "cijepa-report", "`DIR` to write report.html, report.md, runs.csv, pairs.csv and the charts to")
	upload := flags.Bool("upload", false, "also put them beside the runs, below "+reportPrefix)
	bucket, r, err := asked.open(ctx, flags, args, out, log)
	if err != nil {
		return err
	}
	defer bucket.Close()
	files, err := r.Files()
	if err != nil {
		return err
	}
	if err := writeReport(*folder, files); err != nil {
		return err
	}
	if *upload {
		if err := uploadReport(ctx, bucket, files); err != nil {
			return fmt.Errorf("uploading the report: %w", err)
		}
	}
	return asked.print(out, r, filepath.Join(*folder, "report.html"))
}

// reportList is the file that lists what a report has written, as sha256sum reads it.
const reportList = "report.sha256"

// writeReport writes the files of a report into a folder, in place of those of the report before:
// the files that its list names. It touches no other file there.
func writeReport(folder string, files []report.File) error {
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return fmt.Errorf("making the folder that -out names: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(folder, reportList))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading what the report before has written: %w", err)
	}
	before, fresh := parseReportList(text), map[string]bool{}
	for _, f := range files {
		fresh[f.Name] = true
		if _, ours := before[f.Name]; ours {
			continue
		}
		if _, err := os.Lstat(filepath.Join(folder, f.Name)); !errors.Is(err, fs.ErrNotExist) {
			return &usageError{fmt.Errorf("%s holds a %s that no report has written: name another folder with -out", folder, f.Name)}
		}
	}
	for name, sum := range before {
		path := filepath.Join(folder, name)
		if info, err := os.Lstat(path); fresh[name] || err != nil || !info.Mode().IsRegular() {
			continue
		}
		if data, err := os.ReadFile(path); err != nil || sumOf(data) != sum {
			continue // somebody has changed it
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("removing a file of the report before: %w", err)
		}
	}
	// The list comes first: after a kill, what it names counts as written.
	for _, f := range withReportList(files) {
		if err := replaceFile(filepath.Join(folder, f.Name), f.Data); err != nil {
			return fmt.Errorf("writing the report into the folder that -out names: %w", err)
		}
	}
	return nil
}

// replaceFile writes a file anew: a link of its name is replaced, and not what it leads to.
func replaceFile(path string, data []byte) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}

// uploadReport puts the files of a report beside the runs, in place of those of the report before:
// the objects that its list names, unless somebody has changed them.
func uploadReport(ctx context.Context, bucket *storage.Bucket, files []report.File) error {
	text, err := bucket.Get(ctx, reportPrefix+reportList)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	before := parseReportList(text)
	for _, f := range files {
		delete(before, f.Name)
	}
	for name, sum := range before {
		if data, err := bucket.Get(ctx, reportPrefix+name); err != nil || sumOf(data) != sum {
			continue // it is gone, or somebody has changed it; an outage ends the writing below
		}
		if err := bucket.Delete(ctx, reportPrefix+name); err != nil {
			return err
		}
	}
	for _, f := range withReportList(files) {
		if _, err := bucket.PutBytes(ctx, reportPrefix+f.Name, f.Data); err != nil {
			return err
		}
	}
	return nil
}

// withReportList puts the list of the files before them.
func withReportList(files []report.File) []report.File {
	var list strings.Builder
	for _, f := range files {
		fmt.Fprintf(&list, "%s  %s\n", sumOf(f.Data), f.Name)
	}
	return append([]report.File{{Name: reportList, Data: []byte(list.String())}}, files...)
}

func sumOf(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

// maxReportList is larger than any list of a report, in bytes. A larger one is none.
const maxReportList = 1 << 20

// parseReportList reads the checksums of the files that a report has written, by name.
func parseReportList(text []byte) map[string]string {
	sums := map[string]string{}
	if len(text) > maxReportList {
		return sums
	}
	for line := range strings.Lines(string(text)) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if ok && name == filepath.Base(name) && name != "." && name != ".." {
			sums[name] = sum
		}
	}
	return sums
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
		all = append(all, report.Reference{Preset: p.Name, Recipe: recipe, PostTop1: p.PostTop1})
	}
	return all
}
