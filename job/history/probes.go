package history

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/cijepa/cijepa/storage"
)

// Probe is a finished probe of a teacher that is no phase of a run.
type Probe struct {
	Run, Name string // it is runs/<Run>/probes/<Name>.json
	Result    Result

	Answers *Answers // nil: none, or not read (ReadAnswers)
}

// readProbes reads the finished probes of some folders. One that cannot be read is listed as
// unreadable. The error is of the bucket as a whole.
func readProbes(ctx context.Context, folders []folder) (probes []Probe, unreadable []Unreadable, err error) {
	for _, f := range folders {
		for _, file := range f.keys {
			name, ok := probeName(file)
			if !ok {
				continue
			}
			p := Probe{Run: f.name, Name: name}
			err := readJSON(ctx, f, file, &p.Result)
			if err == nil {
				err = checkResult(p.Result)
			}
			if err == nil && p.Result.Teacher == nil {
				err = errors.New(f.key(file) + " names no teacher")
			}
			switch {
			case ctx.Err() != nil:
				return nil, nil, context.Cause(ctx)
			case errors.Is(err, storage.ErrUnreachable):
				return nil, nil, err
			case err != nil:
				unreadable = append(unreadable, Unreadable{f.name + ", probe " + name, err.Error()})
			default:
				probes = append(probes, p)
			}
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
func (f folder) holdsProbesOnly() bool {
	return !slices.ContainsFunc(f.keys, func(file string) bool { return !strings.HasPrefix(file, "probes/") })
}
