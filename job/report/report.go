// Package report reads what runs have left in a bucket, finished or not, and lays it side by side: a page, a text, a table
// for other programs, pictures. It reads only, and knows no more of a run than package record says.
package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cijepa/cijepa/storage"
)

// Report is what a bucket's runs have to say.
type Report struct {
	Bucket     string // where they were read, for the heading
	Read       time.Time
	References []Reference // the post's runs, in its order
	Runs       []*Run      // by preset in the order of the references, then by name
	Unreadable []Unreadable
	Watch      *Watch // of a report of one run in progress
}

// Reference is one run of the post (model/reference/METHOD.md, section 5): what ours is compared with.
type Reference struct {
	Preset   string
	Depths   string
	Epochs   int
	Alpha    string
	Beta     string
	Rows     int
	Recipe   Recipe  // of a run that would repeat it
	PostTop1 float64 // percent
}

// Unreadable is a run that could not be read at all, and why.
type Unreadable struct{ Run, Why string }

// readers bounds how many runs are read at once.
const readers = 16

// Read reads every run of a bucket. A run that cannot be read is listed, and hides no other; the error is of the bucket.
func Read(ctx context.Context, bucket *storage.Bucket, references []Reference) (*Report, error) {
	keys, err := bucket.List(ctx, "runs/")
	if err != nil {
		return nil, fmt.Errorf("listing the runs: %w", err)
	}
	byRun := map[string][]string{}
	for _, key := range keys {
		if name, rest, ok := strings.Cut(strings.TrimPrefix(key, "runs/"), "/"); ok {
			byRun[name] = append(byRun[name], rest)
		}
	}
	type outcome struct {
		run *Run
		err error
	}
	names := slices.Sorted(maps.Keys(byRun))
	read := make([]outcome, len(names))
	group, groupContext := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i, name := range names {
		group.Go(func() error {
			read[i].run, read[i].err = readRun(groupContext, bucket, name, byRun[name])
			return groupContext.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, context.Cause(ctx)
	}
	r := &Report{Read: time.Now().UTC(), References: references}
	var denied error
	for i, o := range read {
		if errors.Is(o.err, storage.ErrDenied) {
			denied = o.err
		}
		switch {
		case errors.Is(o.err, storage.ErrUnreachable):
			return nil, o.err // of the bucket, not of the run
		case o.err != nil:
			r.Unreadable = append(r.Unreadable, Unreadable{names[i], o.err.Error()})
		default:
			r.Runs = append(r.Runs, o.run)
		}
	}
	if len(r.Runs) == 0 && denied != nil {
		return nil, denied
	}
	r.sort()
	return r, nil
}

// ReadRun reads one run, in progress or finished.
func ReadRun(ctx context.Context, bucket *storage.Bucket, name string) (*Run, error) {
	prefix := "runs/" + name + "/"
	keys, err := bucket.List(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("listing the run %s: %w", name, err)
	}
	for i, key := range keys {
		keys[i] = strings.TrimPrefix(key, prefix)
	}
	return readRun(ctx, bucket, name, keys)
}

// sort puts the runs into the order in which a reader of the post looks for them.
func (r *Report) sort() {
	place := func(run *Run) int {
		i := slices.IndexFunc(r.References, func(ref Reference) bool { return ref.Preset == run.Preset })
		if i < 0 {
			return len(r.References)
		}
		return i
	}
	slices.SortFunc(r.Runs, func(a, b *Run) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a.Preset, b.Preset), cmp.Compare(a.Name, b.Name))
	})
}

// Finished counts the runs with a result.
func (r *Report) Finished() int {
	n := 0
	for _, run := range r.Runs {
		if run.Result != nil {
			n++
		}
	}
	return n
}
