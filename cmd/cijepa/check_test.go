package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/check"
)

// TestCheckCommand: what is found goes to standard output, and the exit code says whether a run
// could begin.
func TestCheckCommand(t *testing.T) {
	t.Parallel()
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
		{"device", []string{"CIJEPA_BACKEND=xla:/no/such/plugin.so"}, 64, "CIJEPA_BACKEND"},
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

// TestCheckTellsEachFaultOnce, to people and to programs.
func TestCheckTellsEachFaultOnce(t *testing.T) {
	t.Parallel()
	set := append([]string{"CIJEPA_BUCKET=" + newBucket(t)}, tinyRun...)
	set = append(set, "CIJEPA_BATCH=5000", "CIJEPA_CACHE_DIR="+t.TempDir())
	const fault = "at most the 200 images of the train split"
	code, out, log := typed(t, set, "check")
	if ended := `"msg":"ended","error":"1 fault stands in the way of this run","exit":64`; code != 64 || strings.Count(out+log, fault) != 1 || !strings.Contains(log, ended) {
		t.Errorf("exit %d\n%s\n%s", code, out, log)
	}
	code, out, log = typed(t, set, "check", "-json")
	var found check.Report
	if err := json.Unmarshal([]byte(out), &found); err != nil || code != 64 || strings.Contains(log, fault) || found.Run != "tiny" {
		t.Fatalf("exit %d, %v\n%s\n%s", code, err, out, log)
	}
	levels := map[string]int{}
	for _, f := range found.Findings {
		levels[f.Level]++
		if f.Level == check.Fault && (f.Subject != "data" || !strings.Contains(f.Text, fault)) {
			t.Errorf("the fault is %+v", f)
		}
	}
	if levels[check.Fault] != 1 || levels[check.OK] < 5 {
		t.Errorf("findings %v", levels)
	}
}

// TestCheckOfASweepAddsUpItsHours: lines that differ by their seed alone are tried once.
func TestCheckOfASweepAddsUpItsHours(t *testing.T) {
	t.Parallel()
	slow(t)
	bucket := newBucket(t)
	rows := filepath.Join(t.TempDir(), "rows")
	if err := os.WriteFile(rows, []byte("CIJEPA_RUN=a CIJEPA_SEED=0\nCIJEPA_RUN=b CIJEPA_SEED=1\nCIJEPA_RUN=c CIJEPA_EPOCHS=5\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		more, says []string
		code       int
	}{
		{nil, []string{"line 0, run a", "line 2, run c", "3 lines, of which 2 were tried", " of a machine in all, ", " of money"}, 0},
		{[]string{"CIJEPA_BATCH=5000"}, []string{"3 lines, of which 2 were tried"}, 64},
	} {
		p := exec.Command(os.Args[0], "check")
		p.Env = append(append([]string{asProgram + "=1", "CIJEPA_BUCKET=" + bucket, "CIJEPA_CACHE_DIR=" + t.TempDir(), "HOME=" + t.TempDir(),
			"CIJEPA_SWEEP=" + rows, "CIJEPA_PRICE_PER_HOUR=3600"}, tinyRun...), c.more...)
		out, log := new(output), new(output)
		p.Stdout, p.Stderr = out, log
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		if code := wait(t, p); code != c.code {
			t.Errorf("exit %d, want %d\n%s\n%s", code, c.code, out, log)
		}
		for _, want := range c.says {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in\n%s\n%s", want, out, log)
			}
		}
		if strings.Contains(out.String(), "run b") {
			t.Errorf("a line that differs by its seed alone is tried again:\n%s", out)
		}
	}
}
