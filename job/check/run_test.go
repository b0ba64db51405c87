package check

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
	"github.com/cijepa/cijepa/storage/shards"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// begunRun writes the run.json of a run with these settings.
func begunRun(t *testing.T, bucket *storage.Bucket, cfg settings.Config) {
	t.Helper()
	data, err := shards.OpenDataset(t.Context(), bucket, cfg.Data)
	if err != nil {
		t.Fatal(err)
	}
	text, err := record.Seal(settings.RunRecord{Version: record.Version, Recipe: cfg.Recipe, Fingerprint: data.Fingerprint()})
	if err != nil {
		t.Fatal(err)
	}
	put(t, bucket, "runs/r/run.json", text)
}

// onePart is a part of a checkpoint.
func onePart() checkpoint.Part {
	return checkpoint.Part{Name: "x", Size: 1, Write: func(w io.Writer) error { _, err := w.Write([]byte("x")); return err }}
}

// TestCheckReportsWhereTheRunStands: begun, under way, done.
func TestCheckReportsWhereTheRunStands(t *testing.T) {
	cfg, bucket := smallRun(t)
	reports := func(want string) {
		t.Helper()
		var out bytes.Buffer
		c := &check{cfg: cfg, out: &out, log: storagetest.Log(t), bucket: bucket}
		if c.checkRun(t.Context()); !strings.Contains(out.String(), want) || len(c.errs)+len(c.faults.Faults) > 0 {
			t.Errorf("no %q in %s", want, &out)
		}
	}
	begunRun(t, bucket, cfg)
	reports("it starts at its first update")
	run := checkpoint.OpenRun(bucket, "r", "a", storagetest.Log(t))
	if _, err := run.Restore(t.Context(), func(checkpoint.Checkpoint) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := run.Commit(t.Context(), record.Pretraining, 7, false, []checkpoint.Part{onePart()}); err != nil {
		t.Fatal(err)
	}
	reports("goes on from checkpoint 1: phase pretrain, update 7")
	result, err := record.Seal(settings.Result{Version: record.Version, Recipe: cfg.Recipe})
	if err != nil {
		t.Fatal(err)
	}
	put(t, bucket, "runs/r/result.json", result)
	reports("r is done already")

	var out bytes.Buffer
	if err := (&check{cfg: cfg, out: &out, log: storagetest.Log(t), budget: 20 * time.Millisecond, smi: machine.NvidiaSMI, host: machine.HostMemory}).run(t.Context()); err != nil {
		t.Error(err)
	}
	for _, beyond := range []string{"goes on", "in all", "memory"} {
		if strings.Contains(out.String(), beyond) {
			t.Errorf("of a run that is done it says %q in\n%s", beyond, &out)
		}
	}
}
