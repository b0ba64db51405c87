package history

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// TestFaultsAreReportedAndHideNothingElse: a missing, damaged or denied object is named, and the
// others are read. A whole bucket that is denied or out of reach is an error.
func TestFaultsAreReportedAndHideNothingElse(t *testing.T) {
	const steps = `{"phase":"pretrain","step":5,"epoch":0.5,"loss":0.9}` + "\n"
	store := storagetest.NewStore(t)
	bucket := store.Open(storage.Options{RetryTimeout: 50 * time.Millisecond})
	begun, err := record.Seal(RunRecord{Version: record.Version, Preset: "L200"})
	if err != nil {
		t.Fatal(err)
	}
	sealed := string(begun)
	for key, text := range map[string]string{
		"runs/bare/run.json":                         sealed, // no line yet
		"runs/denied/run.json":                       `{"version":2}`,
		"runs/folder/teacher.safetensors":            "x",
		"runs/garbage/run.json":                      "\x00\xff{",
		"runs/lines/run.json":                        sealed,
		"runs/lines/metrics/steps-a-1-000001.jsonl":  steps + "half a li\n" + "\n" + `{"phase":"pretrain","step":9,"epoch":0.9,"loss":0.8}`,
		"runs/lines/metrics/health-a-1-000001.jsonl": `{"step":5,"epoch":1,"depths":[1,2],"feature_std":[0.5],"effective_rank":null,"residual_rms":[1,2,3]}`,
		"runs/secret/run.json":                       sealed,
		"runs/secret/metrics/steps-a-1-000001.jsonl": steps,
		"runs/secret/metrics/steps-a-1-000002.jsonl": steps,
		"runs/torn/run.json":                         sealed,
		"runs/torn/result.json":                      `{"version":2,"metrics":{"top1":7`,
		"runs/torn/metrics/steps-a-1-000001.jsonl":   steps,
		"runs/later/run.json":                        sealed,
		"runs/later/result.json":                     `{"version":3}`,
		"runs/stray":                                 "no run at all",
		"elsewhere/run.json":                         `{}`,
	} {
		if _, err := bucket.Create(t.Context(), key, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	store.Plan(func(c storagetest.Call) storagetest.Fault {
		if c.Op == storagetest.Read && (c.Key == "runs/denied/run.json" || c.Key == "runs/secret/metrics/steps-a-1-000002.jsonl") {
			return storagetest.Denied
		}
		return storagetest.None
	})
	runs, _, unreadable, err := ReadAll(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	reported := map[string]string{}
	for _, u := range unreadable {
		reported[u.Run] = u.Why
	}
	for _, run := range runs {
		reported[run.Name] = run.State() + "; " + strings.Join(run.Problems, "; ")
	}
	for run, want := range map[string]string{
		"bare": "begun; ", "denied": "runs/denied/run.json: access denied",
		"folder": "runs/folder/run.json is not there", "garbage": "runs/garbage/run.json is damaged",
		"lines": "runs/lines/metrics/steps-a-1-000001.jsonl has 2 damaged lines", "secret": "runs/secret/metrics/steps-a-1-000002.jsonl: access denied",
		"torn": "finished, unreadable; runs/torn/result.json is damaged", "later": "finished, unreadable; runs/later/result.json cannot be read: it has version 3",
	} {
		if !strings.Contains(reported[run], want) {
			t.Errorf("%s is reported as %q, want %q", run, reported[run], want)
		}
		delete(reported, run)
	}
	if d := cmp.Diff(map[string]string{}, reported); d != "" {
		t.Error("and also:", d)
	}
	for _, run := range runs {
		if want := map[string]int{"lines": 2, "secret": 1, "torn": 1}[run.Name]; len(run.Steps) != want {
			t.Errorf("%s has %d lines, want %d", run.Name, len(run.Steps), want)
		}
	}
	for fault, want := range map[storagetest.Fault]error{storagetest.Denied: storage.ErrDenied, storagetest.Refused: storage.ErrUnreachable} {
		store.Plan(storagetest.Always(fault, storagetest.Read))
		if _, _, _, err := ReadAll(t.Context(), bucket); !errors.Is(err, want) {
			t.Errorf("every read %s: %v", fault, err)
		}
	}
}

// TestBucketIsListedOnce for its runs and their probes, whose objects may be many thousands.
func TestBucketIsListedOnce(t *testing.T) {
	store := storagetest.NewStore(t)
	bucket := store.Open(storage.Options{})
	begun, err := record.Seal(RunRecord{Version: record.Version, Preset: "L200"})
	if err != nil {
		t.Fatal(err)
	}
	probed, err := record.Seal(Result{Version: record.Version, Teacher: &record.Teacher{From: "runs/a"}})
	if err != nil {
		t.Fatal(err)
	}
	for key, text := range map[string][]byte{"runs/a/run.json": begun, "runs/a/probes/b.json": probed, "runs/file/probes/c.json": probed} {
		if _, err := bucket.Create(t.Context(), key, text); err != nil {
			t.Fatal(err)
		}
	}
	var lists atomic.Int64
	store.Plan(func(c storagetest.Call) storagetest.Fault {
		if c.Op == storagetest.List {
			lists.Add(1)
		}
		return storagetest.None
	})
	runs, probes, unreadable, err := ReadAll(t.Context(), bucket)
	if err != nil || len(runs) != 1 || len(probes) != 2 || len(unreadable) != 0 {
		t.Fatalf("%d runs, %d probes, %v, %v", len(runs), len(probes), unreadable, err)
	}
	if n := lists.Load(); n != 1 {
		t.Errorf("%d listings", n)
	}
}
