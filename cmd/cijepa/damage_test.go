package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestDamagedCheckpoint: one flipped bit in the newest checkpoint, in the header or the data of a
// part, costs the steps since the one before it, is counted, and changes nothing else.
func TestDamagedCheckpoint(t *testing.T) {
	t.Parallel()
	slow(t)
	for i, damage := range []struct {
		phase, part string
		at          int
	}{
		{"pretrain", "student.safetensors", 5}, {"pretrain", "teacher.safetensors", 20}, {"pretrain", "predictor-01.safetensors", 20000},
		{"pretrain", "progress.json", 1}, {"probe", "trained-probe.safetensors", 20}, {"probe", "teacher.safetensors", 5},
	} {
		if i%3 != 1 && !slowAsked() {
			continue
		}
		bucket := newBucket(t)
		c, log := start(t, bucket)
		waitFor(t, log, `"msg":"saved","run":"tiny","phase":"`+damage.phase+`"`)
		_ = c.Process.Signal(syscall.SIGTERM)
		wait(t, c)
		parts, err := filepath.Glob(strings.TrimPrefix(bucket, "file://") + "/runs/tiny/state/" + damage.phase + "-*/" + damage.part)
		if err != nil || len(parts) == 0 {
			t.Fatalf("no part %s of %s in %s: %v\n%s", damage.part, damage.phase, bucket, err, log)
		}
		newest := slices.Max(parts)
		data, err := os.ReadFile(newest)
		if err != nil {
			t.Fatal(err)
		}
		data[damage.at%len(data)] ^= 1
		if err := os.WriteFile(newest, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(log.String(), `"msg":"done"`) {
			continue // too late: nothing reads the checkpoint any more
		}
		got := finish(t, bucket)
		same(t, fmt.Sprintf("%+v", damage), got)
		if got.Stats.Fallbacks != 1 {
			t.Errorf("%+v: %d damaged checkpoints counted, want 1", damage, got.Stats.Fallbacks)
		}
	}
}
