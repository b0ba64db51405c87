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

// ReadAll reads every run of a bucket, in the order of their names, and the finished probes of
// each. A run or a probe that cannot be read is listed as unreadable, and the others are read all
// the same. The error is of the bucket as a whole: out of reach, or nothing in it may be read.
func ReadAll(ctx context.Context, bucket *storage.Bucket) (runs []*Run, probes []Probe, unreadable []Unreadable, err error) {
	folders, err := list(ctx, bucket, "runs/", func(key string) (name, file string, ok bool) {
		return strings.Cut(strings.TrimPrefix(key, "runs/"), "/")
	})
	if err != nil {
		return nil, nil, nil, err
	}
	probes, unreadableProbes, err := readProbes(ctx, folders)
	if err != nil {
		return nil, nil, nil, err
	}
	folders = slices.DeleteFunc(folders, folder.holdsProbesOnly)
	type outcome struct {
		run *Run
		err error
	}
	outcomes := make([]outcome, len(folders))
	group, groupContext := errgroup.WithContext(ctx)
	group.SetLimit(maxReaders)
	for i, f := range folders {
		group.Go(func() error {
			outcomes[i].run, outcomes[i].err = f.read(groupContext)
			return groupContext.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, nil, context.Cause(ctx)
	}
	var denied error
	for i, o := range outcomes {
		if errors.Is(o.err, storage.ErrDenied) {
			denied = o.err
		}
		switch {
		case errors.Is(o.err, storage.ErrUnreachable):
			return nil, nil, nil, o.err // of the bucket, not of the run
		case o.err != nil:
			unreadable = append(unreadable, Unreadable{folders[i].name, o.err.Error()})
		default:
			runs = append(runs, o.run)
		}
	}
	if len(runs) == 0 && denied != nil {
		return nil, nil, nil, denied
	}
	return runs, probes, append(unreadable, unreadableProbes...), nil
}

// Read reads one run, in progress or finished.
func Read(ctx context.Context, bucket *storage.Bucket, name string) (*Run, error) {
	f, err := listRun(ctx, bucket, name)
	if err != nil {
		return nil, err
	}
	return f.read(ctx)
}

// ReadAttempts reads only the attempts of a run and, of those that were killed, the lines that show
// how far they came: enough for Lost.
func ReadAttempts(ctx context.Context, bucket *storage.Bucket, name string) ([]Attempt, error) {
	f, err := listRun(ctx, bucket, name)
	if err != nil {
		return nil, err
	}
	r := &Run{Name: name}
	l := &lineReader{ctx: ctx, folder: f, run: r}
	r.setAttempts(readLines(l, record.Attempts, nil, checkAttempt))
	killed := func(name string) bool { // and followed by another
		i := slices.IndexFunc(r.Attempts, func(a Attempt) bool { return a.Name == name })
		return i >= 0 && i+1 < len(r.Attempts) && !r.Attempts[i].ended
	}
	r.setReached(readLines(l, record.Steps, killed, checkStep))
	return r.Attempts, l.err
}

// folder is runs/<name>/ in a bucket.
type folder struct {
	bucket *storage.Bucket
	name   string
	keys   []string         // of its objects, below the folder
	sizes  map[string]int64 // of its objects in bytes
}

// list lists the objects with a prefix by their folders, in the order of the folders' names. split
// tells for a key the name of its folder and the file below it.
func list(ctx context.Context, bucket *storage.Bucket, prefix string, split func(key string) (name, file string, ok bool)) ([]folder, error) {
	entries, err := bucket.ListEntries(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", prefix, err)
	}
	byName := map[string]folder{}
	for _, e := range entries {
		name, file, ok := split(e.Key)
		if !ok || e.Temporary {
			continue
		}
		f, seen := byName[name]
		if !seen {
			f = folder{bucket: bucket, name: name, sizes: map[string]int64{}}
		}
		f.keys, f.sizes[file] = append(f.keys, file), e.Size
		byName[name] = f
	}
	return slices.SortedFunc(maps.Values(byName), func(a, b folder) int { return strings.Compare(a.name, b.name) }), nil
}

// listRun lists the folder of one run, which is empty if there is none.
func listRun(ctx context.Context, bucket *storage.Bucket, name string) (folder, error) {
	f := folder{bucket: bucket, name: name}
	found, err := list(ctx, bucket, f.key(""), func(key string) (string, string, bool) { return name, strings.TrimPrefix(key, f.key("")), true })
	if err != nil || len(found) == 0 {
		return f, err
	}
	return found[0], nil
}

func (f folder) key(name string) string { return "runs/" + f.name + "/" + name }

// recordsAlone reports whether the folder holds neither metrics nor pictures: see Run.RecordsAlone.
func (f folder) recordsAlone() bool {
	return !slices.ContainsFunc(f.keys, func(key string) bool {
		return strings.HasPrefix(key, "metrics/") || key == record.ComponentsFile || key == record.NeighboursFile
	})
}

func (f folder) has(name string) bool { return slices.Contains(f.keys, name) }
