// Package history reads what runs have left in a bucket, finished or not. It reads only, and knows
// no more of a run than package record. It draws nothing: that is package report.
//
//	history.go   all runs of a bucket
//	probes.go    the probes of teachers that are no phase of a run
//	run.go       one run: its record, its result, its state
//	answers.go   what finished runs and probes say of every validation image
//	setting.go   a setting of a run as text
//	attempt.go   the attempts of a run, and the updates that they lost
//	jsonl.go     the lines of metrics/, merged over attempts
//	pictures.go  the pictures of a run
//	bounds.go    the values that are accepted
//	current.go   the lines of a process in progress, merged into its run
package history

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/storage"
)

// Unreadable is a run that could not be read at all, and why.
type Unreadable struct{ Run, Why string }

// maxReaders bounds how many runs are read at once.
const maxReaders = 16

// ReadAll reads every run of a bucket, in the order of their names. A run that cannot be read is
// listed as unreadable, and the others are read all the same. The error is of the bucket as a
// whole: out of reach, or nothing in it may be read.
func ReadAll(ctx context.Context, bucket *storage.Bucket) ([]*Run, []Unreadable, error) {
	entries, err := bucket.ListEntries(ctx, "runs/")
	if err != nil {
		return nil, nil, fmt.Errorf("listing the runs: %w", err)
	}
	byRun := map[string]folder{}
	for _, e := range entries {
		if name, rest, ok := strings.Cut(strings.TrimPrefix(e.Key, "runs/"), "/"); ok && !e.Temporary {
			f, begun := byRun[name]
			if !begun {
				f = folder{bucket: bucket, name: name, sizes: map[string]int64{}}
			}
			f.add(rest, e.Size)
			byRun[name] = f
		}
	}
	maps.DeleteFunc(byRun, func(_ string, f folder) bool { return holdsProbesOnly(f.keys) })
	type outcome struct {
		run *Run
		err error
	}
	names := slices.Sorted(maps.Keys(byRun))
	outcomes := make([]outcome, len(names))
	group, groupContext := errgroup.WithContext(ctx)
	group.SetLimit(maxReaders)
	for i, name := range names {
		group.Go(func() error {
			outcomes[i].run, outcomes[i].err = byRun[name].read(groupContext)
			return groupContext.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, context.Cause(ctx)
	}
	var runs []*Run
	var unreadable []Unreadable
	var denied error
	for i, o := range outcomes {
		if errors.Is(o.err, storage.ErrDenied) {
			denied = o.err
		}
		switch {
		case errors.Is(o.err, storage.ErrUnreachable):
			return nil, nil, o.err // of the bucket, not of the run
		case o.err != nil:
			unreadable = append(unreadable, Unreadable{names[i], o.err.Error()})
		default:
			runs = append(runs, o.run)
		}
	}
	if len(runs) == 0 && denied != nil {
		return nil, nil, denied
	}
	return runs, unreadable, nil
}

// Read reads one run, in progress or finished.
func Read(ctx context.Context, bucket *storage.Bucket, name string) (*Run, error) {
	f, err := list(ctx, bucket, name)
	if err != nil {
		return nil, err
	}
	return f.read(ctx)
}

// ReadAttempts reads only the attempts of a run and, of those that were killed, the lines that show
// how far they came: enough for Lost.
func ReadAttempts(ctx context.Context, bucket *storage.Bucket, name string) ([]Attempt, error) {
	f, err := list(ctx, bucket, name)
	if err != nil {
		return nil, err
	}
	r := &Run{Name: name}
	lines, err := readLines(ctx, f, r, record.Attempts, nil, checkAttempt)
	if err != nil {
		return nil, err
	}
	r.setAttempts(lines)
	killed := func(name string) bool { // and followed by another
		i := slices.IndexFunc(r.Attempts, func(a Attempt) bool { return a.Name == name })
		return i >= 0 && i+1 < len(r.Attempts) && !r.Attempts[i].ended
	}
	steps, err := readLines(ctx, f, r, record.Steps, killed, checkStep)
	if err != nil {
		return nil, err
	}
	r.setReached(steps)
	return r.Attempts, nil
}

// folder is runs/<name>/ in a bucket.
type folder struct {
	bucket *storage.Bucket
	name   string
	keys   []string         // of its objects, below the folder
	sizes  map[string]int64 // of its objects in bytes
}

func (f *folder) add(key string, size int64) {
	f.keys, f.sizes[key] = append(f.keys, key), size
}

func list(ctx context.Context, bucket *storage.Bucket, name string) (folder, error) {
	f := folder{bucket: bucket, name: name, sizes: map[string]int64{}}
	entries, err := bucket.ListEntries(ctx, f.key(""))
	if err != nil {
		return f, fmt.Errorf("listing the run %s: %w", name, err)
	}
	for _, e := range entries {
		if !e.Temporary {
			f.add(strings.TrimPrefix(e.Key, f.key("")), e.Size)
		}
	}
	return f, nil
}

func (f folder) key(name string) string { return "runs/" + f.name + "/" + name }

// recordsAlone reports whether the folder holds neither metrics nor pictures: see Run.RecordsAlone.
func (f folder) recordsAlone() bool {
	return !slices.ContainsFunc(f.keys, func(key string) bool {
		return strings.HasPrefix(key, "metrics/") || key == record.ComponentsFile || key == record.NeighboursFile
	})
}

func (f folder) has(name string) bool { return slices.Contains(f.keys, name) }
