package input

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

// spoil makes samples of a source undecodable, given as pairs of shard and sample.
func spoil(s *fakeSource, samples ...[2]int) {
	good := s.image
	s.image = func(shard, sample int) []byte {
		if slices.Contains(samples, [2]int{shard, sample}) {
			return good(shard, sample)[:40]
		}
		return good(shard, sample)
	}
}

// TestBadSampleIsReplacedByTheNext of its shard, the last by the first, and logged once.
func TestBadSampleIsReplacedByTheNext(t *testing.T) {
	source := newFakeSource(t, 6, 5)
	spoil(source, [2]int{0, 2}, [2]int{0, 3}, [2]int{1, 4})
	replaced := map[int32]int32{2: 4, 3: 4, 1004: 1000} // by label
	var log bytes.Buffer
	c := smallConfig()
	c.KeepPartial, c.BadLimit, c.Log = true, 0.3, slog.New(slog.NewTextHandler(&log, nil))
	l := newLoader(t, source, c)
	got := collect(t, l, 0, 6)

	// The labels must be those of a sound source, with the bad samples replaced.
	want := collect(t, newLoader(t, newFakeSource(t, 6, 5), c), 0, 6)
	for i := range want {
		for k, label := range want[i].Labels {
			if by, bad := replaced[label]; bad {
				label = by
			} else if k < want[i].N && !bytes.Equal(pixelsOf(got[i], k), pixelsOf(want[i], k)) {
				t.Errorf("step %d: image %d differs, though its sample is sound", i, k)
			}
			if got[i].Labels[k] != label {
				t.Errorf("step %d, image %d: label %d, want %d", i, k, got[i].Labels[k], label)
			}
		}
	}
	for _, key := range []string{"00/002", "00/003", "01/004"} {
		if n := strings.Count(log.String(), "key="+key); n != 1 {
			t.Errorf("%s is logged %d times in two epochs, want once", key, n)
		}
	}
	if got := l.Bad(); !slices.Equal(got, []int{2, 3, 10}) {
		t.Errorf("Bad() = %v", got)
	}
	// The replacement is the same for other workers and another first step.
	c.workers = 5
	for i, b := range collect(t, newLoader(t, source, c), 3, 6) {
		if !bytes.Equal(b.Images, got[3+i].Images) {
			t.Errorf("step %d differs", b.Step)
		}
	}
}

// pixelsOf returns image k of a batch of smallConfig.
func pixelsOf(b Batch, k int) []byte { return b.Images[8*8*3*k : 8*8*3*(k+1)] }

// TestTooManyBadSamplesEndTheIteration with ErrBadSamples, their number and their keys.
func TestTooManyBadSamplesEndTheIteration(t *testing.T) {
	for _, c := range []struct {
		limit float64
		bad   int
		stops bool
	}{
		{0.10, 2, false},
		{0.10, 3, true}, // of 20
		{0, 1, true},
	} {
		t.Run(fmt.Sprint(c.limit, c.bad), func(t *testing.T) {
			source := newFakeSource(t, 10, 10)
			for i := range c.bad {
				spoil(source, [2]int{1, 3 * i})
			}
			config := smallConfig()
			config.BadLimit, config.Log = c.limit, slog.New(slog.DiscardHandler)
			err := exhaust(context.Background(), newLoader(t, source, config), 0, 5)
			if !c.stops {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, ErrBadSamples) {
				t.Fatalf("error %v, want ErrBadSamples", err)
			}
			for _, part := range []string{fmt.Sprintf("%d of 20", c.bad), "01/00"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

// TestShardWithoutASoundSampleEndsTheIteration: there is no replacement.
func TestShardWithoutASoundSampleEndsTheIteration(t *testing.T) {
	source := newFakeSource(t, 3, 30)
	spoil(source, [2]int{0, 0}, [2]int{0, 1}, [2]int{0, 2})
	config := smallConfig()
	config.BadLimit, config.Log = 0.5, slog.New(slog.DiscardHandler)
	if err := exhaust(context.Background(), newLoader(t, source, config), 0, 8); !errors.Is(err, ErrBadSamples) {
		t.Fatalf("error %v, want ErrBadSamples", err)
	}
}

// exhaust runs an iteration and returns the error that it ends with.
func exhaust(ctx context.Context, l *Loader, from, to int64) error {
	for _, err := range l.Batches(ctx, from, to) {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestKnownBadSamplesCount: those of an earlier loader count against the limit and change no batch.
func TestKnownBadSamplesCount(t *testing.T) {
	source := newFakeSource(t, 6, 5)
	spoil(source, [2]int{0, 2}, [2]int{1, 4})
	c := smallConfig()
	c.BadLimit, c.Log = 0.3, slog.New(slog.DiscardHandler) // three of eleven
	want := collect(t, newLoader(t, source, c), 0, 6)
	for _, known := range [][]int{{2, 10}, {7}} {
		c.Bad = known
		l := newLoader(t, source, c)
		for i, b := range collect(t, l, 0, 6) {
			if !bytes.Equal(b.Images, want[i].Images) {
				t.Errorf("with %v: step %d differs", known, b.Step)
			}
		}
		all := slices.Compact(slices.Sorted(slices.Values(append([]int{2, 10}, known...))))
		if !slices.Equal(l.Bad(), all) {
			t.Errorf("with %v: %v", known, l.Bad())
		}
	}
	c.Bad = []int{7, 8}
	if err := exhaust(t.Context(), newLoader(t, source, c), 0, 6); !errors.Is(err, ErrBadSamples) {
		t.Errorf("two known and two found of three allowed: %v", err)
	}
}
