package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/safetensors"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// newTestSaver is a saver over a store that fails on demand. Its position has no weights, only
// progress.
func newTestSaver(t *testing.T, store *storagetest.Store, attempt string) (*saver, position) {
	t.Helper()
	cfg := settings.Defaults()
	cfg.SaveEvery = time.Hour
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	j := &Job{cfg: cfg, log: log}
	j.run = checkpoint.OpenRun(store.Open(storage.Options{RetryTimeout: 50 * time.Millisecond, Log: log}), "r", attempt, log)
	if _, err := j.run.Restore(t.Context(), func(checkpoint.Checkpoint) error { return nil }); err != nil {
		t.Fatal(err)
	}
	at := position{phase: "test", progress: newProgress(cfg)}
	j.saver = j.newSaver(t.Context(), at)
	t.Cleanup(j.saver.uploader.close)
	return j.saver, at
}

// collectOne waits for the upload in flight.
func collectOne(s *saver) error { return s.collect(<-s.uploader.done) }

func TestTrainingOutlivesFailedUploads(t *testing.T) {
	store := storagetest.NewStore(t)
	s, at := newTestSaver(t, store, "a")
	store.Plan(storagetest.Always(storagetest.Refused, storagetest.Write))
	for step := range int64(3) {
		at.step = step + 1
		if err := s.save(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		if err := collectOne(s); err != nil {
			t.Fatalf("a failed upload stopped the run: %v", err)
		}
	}
	if s.committed != 0 {
		t.Errorf("committed %d, but every write was refused", s.committed)
	}
	s.job.cfg.RetryTimeout = time.Nanosecond
	at.step = 4
	if err := s.save(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	if err := collectOne(s); !errors.Is(err, storage.ErrUnreachable) || !strings.Contains(err.Error(), "CIJEPA_RETRY_TIMEOUT") {
		t.Errorf("beyond its patience the run goes on: %v", err)
	}
	store.Plan(nil)
	s.job.cfg.RetryTimeout = time.Hour
	at.step = 5
	if err := s.finish(t.Context(), at, nil); err != nil || s.committed != 5 {
		t.Errorf("the store is back, but: committed %d, %v", s.committed, err)
	}
}

// TestSaveTimeoutEndsWithStorageTrouble: whatever kept checkpoints from being committed, the end is
// one that another attempt, later, may mend, and names its cause.
func TestSaveTimeoutEndsWithStorageTrouble(t *testing.T) {
	s, at := newTestSaver(t, storagetest.NewStore(t), "a")
	s.job.cfg.RetryTimeout = time.Nanosecond
	odd := errors.New("a failure of no class")
	for _, cause := range []error{odd, storage.ErrDenied, storage.ErrUnreachable} {
		s.uploader.outstanding = 1
		err := s.collect(outcome{upload: upload{step: at.step, parts: []checkpoint.Part{}}, err: fmt.Errorf("writing x: %w", cause)})
		if !errors.Is(err, storage.ErrUnreachable) && !errors.Is(err, storage.ErrDenied) || !errors.Is(err, cause) ||
			!strings.Contains(err.Error(), "CIJEPA_RETRY_TIMEOUT") || strings.Count(err.Error(), storage.ErrUnreachable.Error()) > 1 {
			t.Errorf("got %v", err)
		}
	}
}

func TestOvertakenStops(t *testing.T) {
	store := storagetest.NewStore(t)
	old, at := newTestSaver(t, store, "a")
	young, _ := newTestSaver(t, store, "b")
	at.step = 1
	if err := young.finish(t.Context(), at, nil); err != nil {
		t.Fatal(err)
	}
	if err := old.save(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	err := collectOne(old)
	if !errors.Is(err, storage.ErrOvertaken) {
		t.Errorf("the overtaken attempt got %v", err)
	}
	if got := old.job.stop(t.Context(), at, err); got != err {
		t.Errorf("the attempt ended with %v", got)
	}
	lines := linesOf[record.Attempt](t, store.Open(storage.Options{}), record.Attempts)
	if len(lines) != 1 || lines[0].How != record.Overtaken || lines[0].Step != 1 || lines[0].Saved == nil || *lines[0].Saved != 0 {
		t.Errorf("of its end it wrote %+v", lines)
	}
}

// TestLastFitsItsDeadline: the last checkpoint is written when it fits, and not begun when the last
// upload's rate says that it cannot.
func TestLastFitsItsDeadline(t *testing.T) {
	store := storagetest.NewStore(t)
	s, at := newTestSaver(t, store, "a")
	at.step = 7
	s.size, s.rate = 1000, 10 // 100 s
	calls := store.Calls()
	soon := func() time.Time { return time.Now().Add(5 * time.Second) }
	refused := func(why string, until time.Time) {
		t.Helper()
		if got := s.last(t.Context(), at, until); got != 0 || store.Calls() != calls {
			t.Errorf("saved %d with %d calls; it could not fit: %s", got, store.Calls()-calls, why)
		}
	}
	refused("the upload takes too long", soon())
	s.rate, s.pause = 1e6, 6*time.Second
	refused("the copy takes too long", soon())
	s.pause = 0
	refused("the time is over", time.Now())
	if got := s.last(t.Context(), at, soon()); got != 7 {
		t.Errorf("saved %d, want 7", got)
	}
	if got := s.last(t.Context(), at, soon()); got != 7 {
		t.Errorf("saved %d again, want 7", got)
	}
}

// TestDeadlineCountsFromTheSignal: what the run still had to do after SIGTERM is taken off the time
// for the last checkpoint.
func TestDeadlineCountsFromTheSignal(t *testing.T) {
	for _, c := range []struct{ ago, need time.Duration }{{0, 5 * time.Second}, {9 * time.Second, 5 * time.Second}} {
		s, at := newTestSaver(t, storagetest.NewStore(t), "a")
		at.step = 7
		s.size, s.rate = 1000, 1000/c.need.Seconds()
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(Stop{At: time.Now().Add(-c.ago)})
		err := s.job.stop(ctx, at, context.Cause(ctx))
		saved, fits := s.committed == 7, c.ago+c.need < s.job.cfg.StopDeadline()
		if !errors.Is(err, ErrStopped) || saved != fits {
			t.Errorf("%v after the signal, %v needed: saved %v, %v", c.ago, c.need, saved, err)
		}
	}
}

// TestAnErrorSavesFirst: data that cannot be read cost no steps; after an error of the device
// nothing is asked of it, and an attempt that was overtaken writes nothing more.
func TestAnErrorSavesFirst(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int64
	}{{storage.ErrUnreachable, 7}, {&machine.DeviceError{Err: errors.New("gone")}, 0}, {storage.ErrOvertaken, 0}} {
		s, at := newTestSaver(t, storagetest.NewStore(t), "a")
		at.step = 7
		if got := s.job.stop(t.Context(), at, c.err); got != c.err || s.committed != c.want {
			t.Errorf("after %v: committed %d, want %d; %v", c.err, s.committed, c.want, got)
		}
	}
}

// TestLoadErrorHasItsKind: what cannot be loaded is damage when others have written it, the
// device's fault when it did not take it, and else as the store says.
func TestLoadErrorHasItsKind(t *testing.T) {
	var device *machine.DeviceError
	for _, of := range []error{storage.ErrCorrupt, storage.ErrUnreachable, storage.ErrDenied, Stop{At: time.Now()}, errors.New("400")} {
		if err := loadError(fmt.Errorf("reading: %w", of)); !errors.Is(err, of) || errors.As(err, &device) {
			t.Errorf("of %v becomes %v", of, err)
		}
	}
	if err := loadError(fmt.Errorf("reading: %w", safetensors.ErrFormat)); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("other arrays are %v", err)
	}
	if err := loadError(fmt.Errorf("loading: %w", model.ErrUpload)); !errors.As(err, &device) {
		t.Errorf("a device's error is %v", err)
	}
	if err := loadError(nil); err != nil {
		t.Error(err)
	}
}

// TestPhaseEndIsCommittedOnce: the end is committed once, what runs beside the upload sees the
// bytes that are committed, and a stop in it leaves the upload to its deadline.
func TestPhaseEndIsCommittedOnce(t *testing.T) {
	store := storagetest.NewStore(t)
	s, at := newTestSaver(t, store, "a")
	at.step = 3
	var sums []string
	hash := func(parts []checkpoint.Part) error {
		sum, err := digest(t.Context(), append(parts, bytesPart("x", []byte("state"))))
		sums = append(sums, sum)
		return err
	}
	for range 2 { // the second as after a restart
		if err := s.finish(t.Context(), at, hash); err != nil || s.committed != 3 {
			t.Fatalf("committed %d, %v", s.committed, err)
		}
	}
	if commits := strings.Count(strings.Join(slices.Collect(maps.Keys(store.Objects())), " "), "/manifest/"); commits != 1 || len(sums) != 2 || sums[0] != sums[1] {
		t.Errorf("%d commits, sums %v", commits, sums)
	}

	at.step = 4
	ctx, cancel := context.WithCancelCause(t.Context())
	err := s.finish(ctx, at, func(parts []checkpoint.Part) error {
		cancel(Stop{At: time.Now()})
		_, err := digest(ctx, append(parts, bytesPart("x", []byte("state"))))
		return err
	})
	if !errors.Is(err, ErrStopped) {
		t.Errorf("hashing goes on after the stop: %v", err)
	}
	if err := s.job.stop(ctx, at, err); !errors.Is(err, ErrStopped) || s.committed != 4 {
		t.Errorf("the upload in hand was given up: %d, %v", s.committed, err)
	}
}

// TestMetricsBetweenCheckpoints: lines reach the bucket without a checkpoint, and none is written
// twice.
func TestMetricsBetweenCheckpoints(t *testing.T) {
	store := storagetest.NewStore(t)
	s, at := newTestSaver(t, store, "a")
	if err := s.job.journal.add(record.Steps, record.Step{Step: 3}); err != nil {
		t.Fatal(err)
	}
	s.flush()
	if s.uploader.outstanding != 0 {
		t.Error("metrics were written before their time")
	}
	s.flushed = time.Now().Add(-2 * flushEvery)
	s.flush()
	if err := collectOne(s); err != nil {
		t.Fatal(err)
	}
	if err := s.job.journal.add(record.Steps, record.Step{Step: 4}); err != nil {
		t.Fatal(err)
	}
	at.step = 4
	if err := s.finish(t.Context(), at, nil); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for key, data := range store.Objects() {
		if strings.Contains(key, "metrics/steps-") {
			lines = append(lines, strings.Split(strings.TrimSpace(string(data)), "\n")...)
		}
	}
	if len(lines) != 2 {
		t.Errorf("%d lines in the bucket, want 2: %v", len(lines), lines)
	}
}

// TestMetricsDoNotHoldUpTheState: metrics that the bucket does not take cost a checkpoint seconds,
// and the last one a second; they come with a later flush.
func TestMetricsDoNotHoldUpTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storagetest.NewStore(t)
		s, at := newTestSaver(t, store, "a")
		hangs := func(c storagetest.Call) storagetest.Fault {
			if strings.Contains(c.Key, "/metrics/") {
				return storagetest.Silent
			}
			return storagetest.None
		}
		line := func(step int64) {
			if err := s.job.journal.add(record.Steps, record.Step{Step: step}); err != nil {
				t.Fatal(err)
			}
		}
		store.Plan(hangs)
		line(1)
		at.step = 1
		begin := time.Now()
		if err := s.save(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		if err := collectOne(s); err != nil || s.committed != 1 || time.Since(begin) > flushTimeout+time.Second {
			t.Errorf("committed %d after %v, %v", s.committed, time.Since(begin), err)
		}
		line(2)
		at.step = 2
		if saved := s.last(t.Context(), at, time.Now().Add(4*time.Second)); saved != 2 {
			t.Errorf("the last checkpoint waited for metrics: saved %d, want 2", saved)
		}
		store.Plan(nil)
		s.job.writeMetrics(t.Context())
		for key, data := range store.Objects() {
			if strings.Contains(key, "metrics/steps-") && strings.Count(string(data), "\n") == 2 {
				return
			}
		}
		t.Errorf("the lines are lost: %v", slices.Sorted(maps.Keys(store.Objects())))
	})
}

// TestPhaseEndOutlivesAnOutage: a bucket that refuses everything for a while costs a wait and no
// step; one that does so for longer than the patience of the run ends it.
func TestPhaseEndOutlivesAnOutage(t *testing.T) {
	for _, outage := range []time.Duration{20 * time.Minute, 2 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			store := storagetest.NewStore(t)
			s, at := newTestSaver(t, store, "a")
			until := time.Now().Add(outage)
			store.Plan(func(c storagetest.Call) storagetest.Fault {
				if c.Op == storagetest.Write && time.Now().Before(until) {
					return storagetest.Denied // no retry of storage's own: it is refused at once, again and again
				}
				return storagetest.None
			})
			at.step = 9
			err := s.finish(t.Context(), at, nil)
			if outlived := outage < s.job.cfg.SaveTimeout(); outlived != (err == nil && s.committed == 9) {
				t.Errorf("an outage of %v: committed %d, %v", outage, s.committed, err)
			} else if !outlived && !errors.Is(err, storage.ErrDenied) {
				t.Errorf("an outage of %v: %v", outage, err)
			}
		})
	}
}

// TestOneUploadAtATime: however fast checkpoints are asked for, no object is written while another
// checkpoint's is.
func TestOneUploadAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storagetest.NewStore(t)
		s, at := newTestSaver(t, store, "a")
		var order []string
		store.Plan(func(c storagetest.Call) storagetest.Fault {
			if c.Op == storagetest.Write && !strings.Contains(c.Key, "/metrics/") {
				order = append(order, c.Key) // the store calls one at a time
				return storagetest.Slow
			}
			return storagetest.None
		})
		for step := range int64(5) {
			at.step = step + 1
			if err := s.save(t.Context(), at); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.wait(t.Context(), 0); err != nil || s.committed != 5 {
			t.Fatalf("committed %d, %v", s.committed, err)
		}
		if len(order) != 10 {
			t.Fatalf("writes %q", order)
		}
		for i, key := range order { // of each its part, then its manifest
			if strings.Contains(key, "/manifest/") != (i%2 == 1) {
				t.Errorf("write %d is of %s; all: %q", i, key, order)
			}
		}
	})
}
