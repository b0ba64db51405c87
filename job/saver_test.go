package job

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// newTestSaver is a saver over a store that fails on demand. Its position has no weights, only progress.
func newTestSaver(t *testing.T, store *storagetest.Store, attempt string) (*saver, position) {
	t.Helper()
	cfg := defaults()
	cfg.SaveEvery, cfg.SavePatience = time.Hour, time.Hour
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	j := &Job{cfg: cfg, log: log}
	j.run = storage.OpenRun(storage.New(store.Bucket(), storage.Options{Patience: 50 * time.Millisecond, Log: log}), "r", attempt, log)
	if _, err := j.run.Restore(t.Context(), func(storage.Checkpoint) error { return nil }); err != nil {
		t.Fatal(err)
	}
	at := position{phase: "test", progress: newProgress(cfg)}
	s := j.newSaver(t.Context(), at)
	t.Cleanup(s.close)
	return s, at
}

// settleOne waits for the upload in hand.
func settleOne(s *saver) error { return s.settle(<-s.done) }

func TestTrainingOutlivesFailedUploads(t *testing.T) {
	store := storagetest.NewStore(t)
	s, at := newTestSaver(t, store, "a")
	store.Plan(storagetest.Always(storagetest.Refused, storagetest.Write))
	for step := range int64(3) {
		at.step = step + 1
		if err := s.begin(t.Context(), at, false); err != nil {
			t.Fatal(err)
		}
		if err := settleOne(s); err != nil {
			t.Fatalf("a failed upload stopped the run: %v", err)
		}
	}
	if s.committed != 0 {
		t.Errorf("committed %d, but every write was refused", s.committed)
	}
	s.job.cfg.SavePatience = time.Nanosecond
	at.step = 4
	if err := s.begin(t.Context(), at, false); err != nil {
		t.Fatal(err)
	}
	if err := settleOne(s); !errors.Is(err, storage.ErrUnreachable) || !strings.Contains(err.Error(), "CIJEPA_SAVE_PATIENCE") {
		t.Errorf("beyond its patience the run goes on: %v", err)
	}
	store.Plan(nil)
	s.job.cfg.SavePatience = time.Hour
	at.step = 5
	if err := s.finish(t.Context(), at); err != nil || s.committed != 5 {
		t.Errorf("the store is back, but: committed %d, %v", s.committed, err)
	}
}

func TestOvertakenStops(t *testing.T) {
	store := storagetest.NewStore(t)
	old, at := newTestSaver(t, store, "a")
	young, _ := newTestSaver(t, store, "b")
	at.step = 1
	if err := young.finish(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	if err := old.begin(t.Context(), at, false); err != nil {
		t.Fatal(err)
	}
	if err := settleOne(old); !errors.Is(err, storage.ErrOvertaken) {
		t.Errorf("the overtaken attempt got %v", err)
	}
}

// TestLastFitsItsDeadline: the last checkpoint is written when it fits, and not begun when the last upload's rate says
// that it cannot.
func TestLastFitsItsDeadline(t *testing.T) {
	store := storagetest.NewStore(t)
	s, at := newTestSaver(t, store, "a")
	at.step = 7
	s.size, s.rate = 1000, 10 // 100 s
	calls := store.Calls()
	if got := s.last(at, false, 5*time.Second); got != 0 || store.Calls() != calls {
		t.Errorf("saved %d with %d calls; it could not fit", got, store.Calls()-calls)
	}
	s.rate = 1e6
	if got := s.last(at, false, 5*time.Second); got != 7 {
		t.Errorf("saved %d, want 7", got)
	}
	if got := s.last(at, false, 5*time.Second); got != 7 {
		t.Errorf("saved %d again, want 7", got)
	}
}

// TestMetricsBetweenCheckpoints: lines reach the bucket without a checkpoint, and none is written twice.
func TestMetricsBetweenCheckpoints(t *testing.T) {
	store := storagetest.NewStore(t)
	s, at := newTestSaver(t, store, "a")
	if err := s.job.journal.add(record.Steps, record.Step{Step: 3}); err != nil {
		t.Fatal(err)
	}
	s.flush()
	if s.outstanding != 0 {
		t.Error("metrics were written before their time")
	}
	s.flushed = time.Now().Add(-2 * flushEvery)
	s.flush()
	if err := settleOne(s); err != nil {
		t.Fatal(err)
	}
	if err := s.job.journal.add(record.Steps, record.Step{Step: 4}); err != nil {
		t.Fatal(err)
	}
	at.step = 4
	if err := s.finish(t.Context(), at); err != nil {
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
