//go:build cgo

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMachineThatFailedBeforeIsNamed: the error names the machine, and on the same machine the next
// attempt says that it is not the first to fail; another machine says nothing of the kind.
func TestMachineThatFailedBeforeIsNamed(t *testing.T) {
	bucket := newBucket(t)
	plugin := filepath.Join(t.TempDir(), "plugin.so") // there, and of no use: as on a machine whose driver is broken
	if err := os.WriteFile(plugin, []byte("no plugin"), 0o644); err != nil {
		t.Fatal(err)
	}
	const before = "attempts before this one failed on the same machine"
	for i, c := range []struct {
		node  string
		says  string
		again bool
	}{
		{"gpu-1", "on machine gpu-1: ", false},
		{"gpu-1", "on machine gpu-1, where 1 attempts before this one failed, too (take it out: kubectl cordon gpu-1)", true},
		{"gpu-2", "on machine gpu-2: ", false},
	} {
		p, log := start(t, bucket, "CIJEPA_NODE="+c.node, "CIJEPA_BACKEND=xla:"+plugin)
		if code := wait(t, p); code != exitDevice || !strings.Contains(log.String(), c.says) || strings.Contains(log.String(), before) != c.again {
			t.Errorf("attempt %d: exit %d\n%s", i, code, log)
		}
	}
}
