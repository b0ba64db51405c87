package history

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/storage"
)

// maxRequests bounds how many objects of a run are asked for at once: a long run has hundreds, and
// each takes a round trip.
const maxRequests = 8

// lineReader reads the lines of a run. After an error, which is of the bucket, it reads no more.
type lineReader struct {
	ctx    context.Context
	folder folder
	run    *Run // whose problems it adds to
	err    error
}

// readLines reads the lines of one file of metrics/ by attempt: of the attempts that wanted picks,
// or of all if it is nil. Objects that cannot be read and lines that check refuses are added to the
// run's problems and left out.
func readLines[T any](l *lineReader, file string, wanted func(attempt string) bool, check func(T) error) map[string][]T {
	if l.err != nil {
		return nil
	}
	ctx, f, r := l.ctx, l.folder, l.run
	var keys, attempts []string
	var bytes int64
	for _, key := range f.keys {
		rest, ok := strings.CutPrefix(key, "metrics/"+file+"-")
		if !ok || !strings.HasSuffix(rest, ".jsonl") {
			continue
		}
		attempt := rest[:max(strings.LastIndexByte(rest, '-'), 0)]
		if wanted != nil && !wanted(attempt) {
			continue
		}
		if bytes += f.sizes[key]; f.sizes[key] > maxMetricsObject || bytes > maxMetrics {
			bytes -= f.sizes[key]
			r.Problems = append(r.Problems, fmt.Sprintf("%s is left out: with its %d bytes it is more than a run writes",
				f.key(key), f.sizes[key]))
			continue
		}
		keys, attempts = append(keys, f.key(key)), append(attempts, attempt)
	}
	texts, errs := make([][]byte, len(keys)), make([]error, len(keys))
	var group errgroup.Group
	group.SetLimit(maxRequests)
	for i, key := range keys {
		group.Go(func() error {
			texts[i], errs[i] = f.bucket.Get(ctx, key)
			return nil
		})
	}
	_ = group.Wait() // each has its own error
	all := map[string][]T{}
	left := maxLines(file)
	for i, key := range keys {
		if err := errs[i]; err != nil {
			if ctx.Err() != nil || errors.Is(err, storage.ErrUnreachable) {
				l.err = err
				return nil
			}
			r.Problems = append(r.Problems, err.Error())
			continue
		}
		var damaged int
		var first error
		for text := range strings.Lines(string(texts[i])) {
			var line T
			err := json.Unmarshal([]byte(text), &line)
			if err == nil {
				err = check(line)
			}
			if err == nil && left == 0 {
				err = fmt.Errorf("a run has at most %d lines of this kind", maxLines(file))
			}
			if err != nil {
				damaged, first = damaged+1, cmp.Or(first, err)
				continue
			}
			left--
			all[attempts[i]] = append(all[attempts[i]], line)
		}
		if damaged > 0 {
			r.Problems = append(r.Problems, fmt.Sprintf("%s has %d damaged lines, the first: %v", key, damaged, first))
		}
	}
	return all
}

// merge puts the wanted lines of all attempts in the order of their steps. Of two lines with one
// step the newer attempt's counts. Attempts that are not in order, because their first line is
// missing, count as older than all others.
func merge[T any](byAttempt map[string][]T, order []string, step func(T) (step int64, wanted bool)) []T {
	byStep := map[int64]T{}
	index := func(name string) int { return slices.Index(order, name) }
	names := slices.SortedFunc(maps.Keys(byAttempt), func(a, b string) int {
		return cmp.Or(cmp.Compare(index(a), index(b)), cmp.Compare(a, b))
	})
	for _, name := range names {
		for _, line := range byAttempt[name] {
			if at, wanted := step(line); wanted {
				byStep[at] = line
			}
		}
	}
	var all []T
	for _, at := range slices.Sorted(maps.Keys(byStep)) {
		all = append(all, byStep[at])
	}
	return all
}

// The steps of lines, by which merge orders those that it wants.
func pretrainingStep(l record.Step) (step int64, wanted bool) {
	return l.Step, l.Phase != record.Probing
}
func probeStep(l record.Step) (step int64, wanted bool)    { return l.Step, l.Phase == record.Probing }
func healthStep(l record.Health) (step int64, wanted bool) { return l.Step, true }
func evalStep(l record.Eval) (step int64, wanted bool)     { return l.Step, true }

// distinct removes the alarms that a later attempt raised again when it computed an update again.
func distinct(alarms []record.Alarm) []record.Alarm {
	at := func(p *int) int {
		if p == nil {
			return -1
		}
		return *p
	}
	order := func(a, b record.Alarm) int {
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(a.Alarm, b.Alarm),
			cmp.Compare(at(a.Depth), at(b.Depth)), cmp.Compare(at(a.To), at(b.To)))
	}
	slices.SortStableFunc(alarms, func(a, b record.Alarm) int { return cmp.Or(order(a, b), a.Time.Compare(b.Time)) })
	return slices.CompactFunc(alarms, func(a, b record.Alarm) bool { return order(a, b) == 0 })
}
