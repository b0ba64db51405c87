package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cijepa/cijepa/storage/storagetest"
)

// The bucket of TestSavingCostsLittle takes this many bytes a second, over all connections.
const narrowBucket = 20e6

// heavyRun has a state of 200 MB: wide and shallow, with predictors that are small beside the
// encoder.
var heavyRun = []string{
	"CIJEPA_WIDTH=256", "CIJEPA_DEPTH=8", "CIJEPA_HEADS=4", "CIJEPA_DEPTHS=0-7", "CIJEPA_PREDICTOR_WIDTH=128", "CIJEPA_PREDICTOR_DEPTH=4", "CIJEPA_PREDICTOR_HEADS=2",
	"CIJEPA_BATCH=8", "CIJEPA_EPOCHS=1000", "CIJEPA_KEEP_EVERY=1000", "CIJEPA_EVAL_EVERY=0", "CIJEPA_LOG_EVERY=1", "CIJEPA_SAVE_EVERY=20s", "CIJEPA_STOP_GRACE=0s", "CIJEPA_BACKEND=go:parallelism=64",
}

// TestSavingCostsLittle times the steps of a real run on a real S3 server behind a line of 20 MB/s:
// those in which a copy of the state is taken, those beside an upload, and the others. It wants a
// quiet machine, and CIJEPA_TEST_SAVING with the number of checkpoints to look at.
func TestSavingCostsLittle(t *testing.T) {
	var saves int
	if v := asked["CIJEPA_TEST_SAVING"]; v == "" {
		t.Skip("only with CIJEPA_TEST_SAVING, the number of checkpoints")
	} else if err := json.Unmarshal([]byte(v), &saves); err != nil || saves < 3 {
		t.Fatalf("CIJEPA_TEST_SAVING=%s: the number of checkpoints, 3 or more", v)
	}
	server := storagetest.Start(t, storagetest.S3, "")
	bucket := server.URLThrough(narrow(t, server.Address, narrowBucket))
	packTiny(t, server.URL())
	c, log := start(t, bucket, append(slices.Clone(heavyRun), "PATH="+os.Getenv("PATH"), "AWS_ACCESS_KEY_ID="+os.Getenv("AWS_ACCESS_KEY_ID"), "AWS_SECRET_ACCESS_KEY="+os.Getenv("AWS_SECRET_ACCESS_KEY"))...)
	for strings.Count(log.String(), `"msg":"saved"`) < saves && !strings.Contains(log.String(), `"msg":"ended"`) {
		time.Sleep(time.Second)
	}
	_ = c.Process.Signal(syscall.SIGTERM)
	wait(t, c)

	type line struct {
		Time    time.Time
		Msg     string
		Step    int64
		Bytes   float64
		Seconds float64
	}
	var steps, saved, epochs []line
	for text := range strings.Lines(log.String()) {
		var l line
		if json.Unmarshal([]byte(text), &l) != nil {
			continue
		}
		switch l.Msg {
		case "step":
			steps = append(steps, l)
		case "saved":
			saved = append(saved, l)
		case "epoch":
			epochs = append(epochs, l)
		}
	}
	if len(saved) < saves {
		t.Fatalf("%d checkpoints\n%s", len(saved), log)
	}
	for _, l := range saved {
		t.Logf("saved step %d: %.0f MB in %.1f s, %.1f MB/s", l.Step, l.Bytes/1e6, l.Seconds, l.Bytes/1e6/l.Seconds)
	}
	var copies, beside, alone []float64 // seconds of a step
	for i := 3; i < len(steps); i++ {   // the first ones warm up
		from, to := steps[i-1], steps[i]
		if slices.ContainsFunc(epochs, func(l line) bool { return l.Step == from.Step }) {
			continue // it measured the teacher's health too
		}
		lap := to.Time.Sub(from.Time).Seconds()
		whole, touched := false, false
		for _, l := range saved {
			k := slices.IndexFunc(steps, func(s line) bool { return s.Step == l.Step })
			begin := steps[k].Time
			end := begin.Add(time.Duration(l.Seconds * float64(time.Second)))
			switch {
			case l.Step == from.Step:
				copies = append(copies, lap)
				touched = true
			case from.Time.Before(end) && to.Time.After(begin):
				touched = true
				whole = whole || !from.Time.Before(begin) && !to.Time.After(end)
			}
		}
		switch {
		case whole:
			beside = append(beside, lap)
		case !touched:
			alone = append(alone, lap)
		}
	}
	base := median(alone)
	t.Logf("steps: %d alone, median %.3f s (%.3f to %.3f); %d with a copy, %.3f s (%+.1f %%); %d beside an upload, %.3f s (%+.1f %%)",
		len(alone), base, slices.Min(alone), slices.Max(alone), len(copies), median(copies), 100*(median(copies)/base-1), len(beside), median(beside), 100*(median(beside)/base-1))
	if median(copies) > 1.15*base {
		t.Errorf("a step that takes a copy is more than 15 %% slower")
	}
	if median(beside) > 1.15*base {
		t.Errorf("a step beside an upload is more than 15 %% slower")
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
