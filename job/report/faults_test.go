package report

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// TestFaults: what one object lacks, says wrongly or keeps to itself is told, under its name, and hides nothing else; what a whole bucket
// keeps to itself ends the report.
func TestFaults(t *testing.T) {
	const steps = `{"phase":"pretrain","step":5,"epoch":0.5,"loss":0.9}` + "\n"
	store := storagetest.NewStore(t)
	bucket := store.Open(storage.Options{RetryTimeout: 50 * time.Millisecond})
	for key, text := range map[string]string{
		"runs/bare/run.json":                         `{"version":1,"preset":"L200"}`, // no line yet
		"runs/denied/run.json":                       `{"version":1}`,
		"runs/folder/teacher.safetensors":            "x",
		"runs/garbage/run.json":                      "\x00\xff{",
		"runs/lines/run.json":                        `{"version":1,"preset":"L200"}`,
		"runs/lines/metrics/steps-a-1-000001.jsonl":  steps + "half a li\n" + "\n" + `{"phase":"pretrain","step":9,"epoch":0.9,"loss":0.8}`,
		"runs/lines/metrics/health-a-1-000001.jsonl": `{"step":5,"epoch":1,"depths":[1,2],"feature_std":[0.5],"effective_rank":null,"residual_rms":[1,2,3]}`,
		"runs/secret/run.json":                       `{"version":1,"preset":"L200"}`,
		"runs/secret/metrics/steps-a-1-000001.jsonl": steps,
		"runs/secret/metrics/steps-a-1-000002.jsonl": steps,
		"runs/torn/run.json":                         `{"version":1,"preset":"L200"}`,
		"runs/torn/result.json":                      `{"version":1,"figures":{"top1":7`,
		"runs/torn/metrics/steps-a-1-000001.jsonl":   steps,
		"runs/later/run.json":                        `{"version":1,"preset":"L200"}`,
		"runs/later/result.json":                     `{"version":2}`,
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
	r, err := Read(t.Context(), bucket, references)
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for _, u := range r.Unreadable {
		told[u.Run] = u.Why
	}
	for _, run := range r.Runs {
		told[run.Name] = run.State() + "; " + strings.Join(run.Trouble, "; ")
	}
	for run, want := range map[string]string{
		"bare": "begun; ", "denied": "runs/denied/run.json: access denied", "folder": "runs/folder/run.json is not there", "garbage": "runs/garbage/run.json is damaged",
		"lines": "runs/lines/metrics/steps-a-1-000001.jsonl has 2 damaged lines", "secret": "runs/secret/metrics/steps-a-1-000002.jsonl: access denied",
		"torn": "finished, unreadable; runs/torn/result.json is damaged", "later": "finished, unreadable; runs/later/result.json has version 2",
	} {
		if !strings.Contains(told[run], want) {
			t.Errorf("of %s it tells %q, want %q", run, told[run], want)
		}
		delete(told, run)
	}
	if d := cmp.Diff(map[string]string{}, told); d != "" {
		t.Error("and also:", d)
	}
	for _, run := range r.Runs {
		if want := map[string]int{"lines": 2, "secret": 1, "torn": 1}[run.Name]; len(run.Steps) != want {
			t.Errorf("%s has %d lines, want %d", run.Name, len(run.Steps), want)
		}
	}
	files, err := r.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"runs/garbage/run.json is damaged", "runs/torn/result.json is damaged"} {
		if page, text := string(files[0].Data), string(files[1].Data); !strings.Contains(page, want) || !strings.Contains(text, want) {
			t.Errorf("the page or the text does not say: %s", want)
		}
	}

	for fault, want := range map[storagetest.Fault]error{storagetest.Denied: storage.ErrDenied, storagetest.Refused: storage.ErrUnreachable} {
		store.Plan(storagetest.Always(fault, storagetest.Read))
		if _, err := Read(t.Context(), bucket, references); !errors.Is(err, want) {
			t.Errorf("every read %s: %v", fault, err)
		}
	}
}
