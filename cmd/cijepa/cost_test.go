package main

import (
	"math"
	"strings"
	"syscall"
	"testing"
)

// TestCostCountsAllAttempts: at a price of 1 a second, the cost is the seconds of both attempts,
// and the log tells it while the run goes on.
func TestCostCountsAllAttempts(t *testing.T) {
	t.Parallel()
	slow(t)
	bucket := newBucket(t)
	const price = "CIJEPA_PRICE_PER_HOUR=3600"
	c, log := start(t, bucket, price)
	waitFor(t, log, `"msg":"saved"`)
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := wait(t, c); code != exitStopped {
		t.Fatalf("exit %d\n%s", code, log)
	}
	c, again := start(t, bucket, price)
	if code := wait(t, c); code != exitDone {
		t.Fatalf("exit %d\n%s", code, again)
	}
	r := result(t, bucket)
	if r.Stats.Cost == nil || math.Abs(*r.Stats.Cost-r.Stats.MachineSeconds) > 1e-6 || r.Stats.MachineSeconds < r.Stats.PretrainSeconds+r.Stats.ProbeSeconds {
		t.Errorf("cost %v of %g s, of which %g and %g s in the phases", r.Stats.Cost, r.Stats.MachineSeconds, r.Stats.PretrainSeconds, r.Stats.ProbeSeconds)
	}
	if r.Stats.MFU != nil {
		t.Errorf("a processor, whose peak nobody knows, has an MFU of %g", *r.Stats.MFU)
	}
	if !strings.Contains(again.String(), `"msg":"step"`) || !strings.Contains(again.String(), `"cost":`) {
		t.Errorf("the log does not tell the cost:\n%s", again)
	}
	same(t, "a run with a price", r)
}
