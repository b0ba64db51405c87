// Package report lays the runs of a bucket side by side: as a page, as text, as a table for other
// programs, and as pictures. It knows a run as package history reads it, and draws with package
// chart.
//
//	report.go      the runs, the post's runs, and the command that hands a teacher on
//	answer.go      the best run, and what it has gained over its untrained self
//	compare.go     our runs against the post's, and the settings in which runs differ
//	contrast.go    our recipes, their seeds, and each against the best
//	paired.go      runs and recipes by what they say of the same images (paired.html.tmpl)
//	transfer.go    teachers on other data, or with few labels
//	linecharts.go  charts of one run and of all
//	heatmaps.go    the tables of errors, and top-1 by alpha and beta
//	timeline.go    the attempts of a run over time, and how far one in progress is
//	pictures.go    what teachers make of validation images: pictures.html.tmpl, pictures.css
//	page.go        the page: page.html.tmpl, page.css, page.js
//	markdown.go    the text
//	tables.go      the runs as a table: CSV for other programs, columns for a terminal
//	files.go       all of these as files
package report

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/storage"
)

// Report is the runs of a bucket.
type Report struct {
	Bucket     string // from where they were read, for the heading
	Read       time.Time
	References []Reference    // the post's runs, in its order
	Runs       []*history.Run // by preset in the order of the references, then by name
	Probes     []history.Probe
	Unreadable []history.Unreadable
	Progress   *Progress // of a report of one run in progress
}

// Reference is one run of the post (model/reference/METHOD.md, section 5): what ours is compared
// with.
type Reference struct {
	Preset   string
	Recipe   history.Recipe // of a run that would repeat it
	PostTop1 float64        // percent
}

// Read reads every run of a bucket. A run that cannot be read is listed as such. The error is of
// the bucket: see history.ReadAll.
func Read(ctx context.Context, bucket *storage.Bucket, references []Reference) (*Report, error) {
	runs, probes, unreadable, err := history.ReadAll(ctx, bucket)
	if err != nil {
		return nil, err
	}
	broken, err := history.ReadAnswers(ctx, bucket, runs, probes)
	if err != nil {
		return nil, err
	}
	r := &Report{Read: time.Now().UTC(), References: references, Runs: runs, Probes: probes, Unreadable: append(unreadable, broken...)}
	r.sort()
	return r, nil
}

// sort puts the runs into the order of the post's table.
func (r *Report) sort() {
	index := func(run *history.Run) int {
		i := slices.IndexFunc(r.References, func(ref Reference) bool { return ref.Preset == run.Preset })
		if i < 0 {
			return len(r.References)
		}
		return i
	}
	slices.SortFunc(r.Runs, func(a, b *history.Run) int {
		return cmp.Or(cmp.Compare(index(a), index(b)), cmp.Compare(a.Preset, b.Preset), cmp.Compare(a.Name, b.Name))
	})
}

// Finished counts the runs with a result.
func (r *Report) Finished() (n int) {
	for _, run := range r.Runs {
		if run.Result != nil {
			n++
		}
	}
	return n
}

// Problems counts what could not be read, for the heading.
func (r *Report) Problems() int {
	n := len(r.Unreadable)
	for _, run := range r.Runs {
		n += len(run.Problems)
	}
	return n
}

// Alarms counts the alarms of all runs, for the heading.
func (r *Report) Alarms() (n int) {
	for _, run := range r.Runs {
		n += len(run.Alarms)
	}
	return n
}

// plainName matches names that a shell takes as they are, as every run's is.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// HandOn is the command that puts the teacher of a finished run on the Hugging Face hub; empty for
// any other run, for a copy of its records alone, and for a folder whose name no run has.
func (r *Report) HandOn(run *history.Run) string {
	if run.Result == nil || run.RecordsAlone || !plainName.MatchString(run.Name) {
		return ""
	}
	command := "cijepa export runs/" + run.Name + " && hf upload OWNER/NAME " + run.Name
	if r.Bucket != "" {
		command = "CIJEPA_BUCKET='" + strings.ReplaceAll(r.Bucket, "'", `'\''`) + "' " + command
	}
	return command
}
