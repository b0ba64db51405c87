package input

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
)

// ErrBadSamples is what an iteration ends with when more images than Config.BadLimit allows cannot be decoded: the data need
// repair, and trying again will not help.
var ErrBadSamples = errors.New("too many images cannot be decoded")

// badList counts the samples that cannot be decoded, each once however often it comes up again.
type badList struct {
	limit int
	total int // samples of the split
	log   *slog.Logger

	mu    sync.Mutex
	seen  map[int]bool
	first []string // descriptions of the first few
}

func newBadList(part float64, total int, known []int, log *slog.Logger) *badList {
	l := &badList{limit: int(part * float64(total)), total: total, log: log, seen: map[int]bool{}}
	for _, sample := range known {
		l.seen[sample] = true
	}
	return l
}

// add notes that a sample cannot be decoded, and fails once there are too many.
func (l *badList) add(sample int, key string, fault error) error {
	const named = 5
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen[sample] {
		return nil
	}
	l.seen[sample] = true
	if len(l.first) < named {
		l.first = append(l.first, fmt.Sprintf("%s (%v)", key, fault))
	}
	if len(l.seen) > l.limit {
		return fmt.Errorf("%w: %d of %d, where %d are allowed; the first of this time: %s",
			ErrBadSamples, len(l.seen), l.total, l.limit, strings.Join(l.first, ", "))
	}
	l.log.Warn("image cannot be decoded, the next one takes its place", "key", key, "error", fault,
		"bad", len(l.seen), "limit", l.limit)
	return nil
}

// samples gives the numbers of the bad ones, ascending.
func (l *badList) samples() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.seen))
}
