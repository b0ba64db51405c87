package report

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

// requests bounds how many objects of a run are asked for at once: a long run has hundreds, and a store takes its time for each.
const requests = 8

// readLines reads the lines of one name, by attempt. What cannot be read is trouble, and the other lines hold.
func readLines[T any](ctx context.Context, bucket *storage.Bucket, r *Run, prefix string, keys []string, name string) (map[string][]T, error) {
	keys = slices.DeleteFunc(slices.Clone(keys), func(key string) bool {
		rest, ok := strings.CutPrefix(key, "metrics/"+name+"-")
		return !ok || !strings.HasSuffix(rest, ".jsonl")
	})
	texts, errs := make([][]byte, len(keys)), make([]error, len(keys))
	var group errgroup.Group
	group.SetLimit(requests)
	for i, key := range keys {
		group.Go(func() error {
			texts[i], errs[i] = bucket.Get(ctx, prefix+key)
			return nil
		})
	}
	_ = group.Wait() // each has its own error
	all := map[string][]T{}
	for i, key := range keys {
		attempt := strings.TrimPrefix(key, "metrics/"+name+"-")
		attempt = attempt[:max(strings.LastIndexByte(attempt, '-'), 0)]
		text, err := texts[i], errs[i]
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, storage.ErrUnreachable) {
				return nil, err
			}
			r.Trouble = append(r.Trouble, err.Error())
			continue
		}
		damaged, why := 0, error(nil)
		for line := range strings.Lines(string(text)) {
			var l T
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				damaged, why = damaged+1, cmp.Or(why, err)
				continue
			}
			all[attempt] = append(all[attempt], l)
		}
		if damaged > 0 {
			r.Trouble = append(r.Trouble, fmt.Sprintf("%s%s has %d damaged lines, the first: %v", prefix, key, damaged, why))
		}
	}
	return all, nil
}

// merge puts the lines of all attempts that are wanted into one row by step; of two lines with one step the newer attempt's
// holds. Attempts that are not in order, because nobody wrote down when they began, come first.
func merge[T any](byAttempt map[string][]T, order []string, step func(T) (at int64, wanted bool)) []T {
	held := map[int64]T{}
	place := func(name string) int { return slices.Index(order, name) }
	names := make([]string, 0, len(byAttempt))
	for name := range byAttempt {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b)) })
	for _, name := range names {
		for _, l := range byAttempt[name] {
			if at, wanted := step(l); wanted {
				held[at] = l
			}
		}
	}
	var all []T
	for _, at := range slices.Sorted(maps.Keys(held)) {
		all = append(all, held[at])
	}
	return all
}

// distinct leaves one of the alarms that several attempts raised over the same update.
func distinct(alarms []record.Alarm) []record.Alarm {
	at := func(p *int) int {
		if p == nil {
			return -1
		}
		return *p
	}
	slices.SortStableFunc(alarms, func(a, b record.Alarm) int {
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(a.Alarm, b.Alarm), cmp.Compare(at(a.Depth), at(b.Depth)), cmp.Compare(at(a.To), at(b.To)), a.Time.Compare(b.Time))
	})
	return slices.CompactFunc(alarms, func(a, b record.Alarm) bool {
		return a.Step == b.Step && a.Alarm == b.Alarm && at(a.Depth) == at(b.Depth) && at(a.To) == at(b.To)
	})
}
