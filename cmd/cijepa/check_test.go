package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckCommand: what is found goes to standard output, and the exit code says whether a run
// could begin.
func TestCheckCommand(t *testing.T) {
	bucket := newBucket(t)
	for _, c := range []struct {
		name string
		more []string
		code int
		says string
	}{
		{"good", nil, 0, "faults: 0"},
		{"settings", []string{"CIJEPA_HEADS=3"}, 64, ""},
		{"batch", []string{"CIJEPA_BATCH=5000"}, 64, "at most the 200 images"},
		{"device", []string{"CIJEPA_BACKEND=xla:/no/such/plugin.so"}, noPlugin(), "CIJEPA_BACKEND"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := exec.Command(os.Args[0], "check")
			p.Env = append(append([]string{asProgram + "=1", "CIJEPA_BUCKET=" + bucket, "CIJEPA_CACHE_DIR=" + t.TempDir(), "HOME=" + t.TempDir()}, tinyRun...), c.more...)
			out, log := new(output), new(output)
			p.Stdout, p.Stderr = out, log
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			if code := wait(t, p); code != c.code || !strings.Contains(out.String(), c.says) {
				t.Errorf("exit %d, want %d and %q in\n%s\n%s", code, c.code, c.says, out, log)
			}
		})
	}
	objects, err := filepath.Glob(filepath.Join(strings.TrimPrefix(bucket, "file://"), "runs*"))
	if err != nil || len(objects) > 0 {
		t.Errorf("left in the bucket: %v %v", objects, err)
	}
}
