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

// ErrBadSamples ends an iteration when more images than Config.BadLimit allows cannot be decoded.
// The data need repair; a retry does not help.
var ErrBadSamples = errors.New("too many images cannot be decoded")

// badSamples counts the samples that cannot be decoded, each once however often it is read.
type badSamples struct {
	limit int
	total int // samples of the split
	log   *slog.Logger

	mu    sync.Mutex
	seen  map[int]bool
	first []string // keys and errors of the first few found by this loader
}

func newBadSamples(fraction float64, total int, known []int, log *slog.Logger) *badSamples {
	b := &badSamples{limit: int(fraction * float64(total)), total: total, log: log, seen: map[int]bool{}}
	for _, sample := range known {
		b.seen[sample] = true
	}
	return b
}

// add records that a sample cannot be decoded, and why. It returns ErrBadSamples once there are too
// many.
func (b *badSamples) add(sample int, key string, cause error) error {
	const named = 5
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen[sample] {
		return nil
	}
	b.seen[sample] = true
	if len(b.first) < named {
		b.first = append(b.first, fmt.Sprintf("%s (%v)", key, cause))
	}
	if len(b.seen) > b.limit {
		return fmt.Errorf("%w: %d of %d, where %d are allowed; the first found now: %s",
			ErrBadSamples, len(b.seen), b.total, b.limit, strings.Join(b.first, ", "))
	}
	b.log.Warn("image cannot be decoded, the next one takes its place", "key", key, "error", cause,
		"bad", len(b.seen), "limit", b.limit)
	return nil
}

// numbers returns the numbers of the bad samples, ascending.
func (b *badSamples) numbers() []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.seen))
}
