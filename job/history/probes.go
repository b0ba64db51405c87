package history

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cijepa/cijepa/storage"
)

// Probe is a finished probe of a teacher that is no phase of a run.
type Probe struct {
	Run, Name string // it is runs/<Run>/probes/<Name>.json
	Result    Result

	Answers *Answers // nil: none, or not read (ReadAnswers)
}

// ReadProbes reads the finished probes of a bucket, in the order of their keys. One that cannot be
// read is listed as unreadable. The error is of the bucket as a whole.
func ReadProbes(ctx context.Context, bucket *storage.Bucket) (probes []Probe, unreadable []Unreadable, err error) {
	entries, err := bucket.ListEntries(ctx, "runs/")
	if err != nil {
		return nil, nil, fmt.Errorf("listing the probes: %w", err)
	}
	for _, e := range entries {
		run, file, _ := strings.Cut(strings.TrimPrefix(e.Key, "runs/"), "/")
		name, ok := probeName(file)
		if !ok || e.Temporary {
			continue
		}
		p := Probe{Run: run, Name: name}
		err := readJSON(ctx, folder{bucket: bucket, name: run, sizes: map[string]int64{file: e.Size}}, file, &p.Result)
		if err == nil {
			err = checkResult(p.Result)
		}
		if err == nil && p.Result.Teacher == nil {
			err = errors.New(e.Key + " names no teacher")
		}
		switch {
		case ctx.Err() != nil:
			return nil, nil, context.Cause(ctx)
		case errors.Is(err, storage.ErrUnreachable):
			return nil, nil, err
		case err != nil:
			unreadable = append(unreadable, Unreadable{run + ", probe " + name, err.Error()})
		default:
			probes = append(probes, p)
		}
	}
	return probes, unreadable, nil
}

// probeName is the name of a probe, if a file of a run's folder is the result of one.
func probeName(file string) (name string, ok bool) {
	below, ok := strings.CutPrefix(file, "probes/")
	name, isJSON := strings.CutSuffix(below, ".json")
	return name, ok && isJSON && !strings.Contains(name, "/")
}

// holdsProbesOnly says whether a folder is of probes of a file, and of no run.
func holdsProbesOnly(files []string) bool {
	for _, file := range files {
		if !strings.HasPrefix(file, "probes/") {
			return false
		}
	}
	return len(files) > 0
}
