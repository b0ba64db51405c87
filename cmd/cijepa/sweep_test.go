package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cijepa/cijepa/job/sweep"
)

// startSweep begins cijepa sweep with the settings of the tiny run.
func startSweep(t *testing.T, bucket, rows string) (*exec.Cmd, *output) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows")
	if err := os.WriteFile(path, []byte(rows), 0o666); err != nil {
		t.Fatal(err)
	}
	c, log := child(t, bucket), new(output)
	c.Args, c.Stderr = append(c.Args, "sweep", path), log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c, log
}

// TestSweepGoesOnPastALineThatFails, and started again it goes on where it was.
func TestSweepGoesOnPastALineThatFails(t *testing.T) {
	t.Parallel()
	slow(t)
	bucket := newBucket(t)
	folder := strings.TrimPrefix(bucket, "file://")
	torn := filepath.Join(folder, "runs/torn/run.json")
	if err := os.MkdirAll(filepath.Dir(torn), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(torn, []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	const rows = "CIJEPA_RUN=tiny # as it is\nCIJEPA_RUN=torn\n\nCIJEPA_RUN='second' CIJEPA_SEED=1\n"
	c, log := startSweep(t, bucket, rows)
	if code := wait(t, c); code != exitData || !strings.Contains(log.String(), "1 of 3 lines failed: torn (exit code 65)") {
		t.Fatalf("exit %d\n%s", code, log)
	}
	same(t, "the first line", result(t, bucket))
	if _, err := os.Stat(filepath.Join(folder, "runs/second/result.json")); err != nil {
		t.Errorf("the line after the one that failed: %v", err)
	}
	if err := os.Remove(torn); err != nil {
		t.Fatal(err)
	}
	c, log = startSweep(t, bucket, rows)
	if code := wait(t, c); code != exitDone || strings.Count(log.String(), `"msg":"done already"`) != 2 {
		t.Fatalf("started again: exit %d\n%s", code, log)
	}
	if _, err := os.Stat(filepath.Join(folder, "runs/torn/result.json")); err != nil {
		t.Errorf("the line that failed, started again: %v", err)
	}
}

// TestStoppedSweepSavesItsLine: SIGTERM reaches the line, which goes on with its next start.
func TestStoppedSweepSavesItsLine(t *testing.T) {
	t.Parallel()
	slow(t)
	bucket := newBucket(t)
	const rows = "CIJEPA_RUN=tiny\nCIJEPA_RUN=never CIJEPA_SEED=1\n"
	c, log := startSweep(t, bucket, rows)
	waitFor(t, log, `"msg":"saved"`)
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := wait(t, c); code != exitStopped || !strings.Contains(log.String(), `"msg":"stopped"`) || strings.Contains(log.String(), `"run":"never"`) {
		t.Fatalf("exit %d\n%s", code, log)
	}
	c, log = startSweep(t, bucket, rows[:strings.Index(rows, "\n")])
	if code := wait(t, c); code != exitDone || !strings.Contains(log.String(), `"msg":"resumed"`) {
		t.Fatalf("started again: exit %d\n%s", code, log)
	}
	same(t, "the line that was stopped", result(t, bucket))
}

func TestSweepChecksAllLinesFirst(t *testing.T) {
	bucket := newBucket(t)
	c, log := startSweep(t, bucket, "CIJEPA_RUN=tiny\nCIJEPA_RUN=b CIJEPA_HEADS=7\n")
	if code := wait(t, c); code != exitSettings || !strings.Contains(log.String(), "rows:2: CIJEPA_HEADS=7") || strings.Contains(log.String(), `"run":"tiny"`) {
		t.Errorf("exit %d\n%s", code, log)
	}
}

// TestSweepPrintsLines that its flags describe; k8s/sweep has those of the table.
func TestSweepPrintsLines(t *testing.T) {
	rows, err := os.ReadFile("../../k8s/sweep/rows")
	if err != nil {
		t.Fatal(err)
	}
	if _, out, log := typed(t, nil, "sweep", "-table"); out != string(rows) {
		t.Errorf("k8s/sweep/rows is not what cijepa sweep -table prints:\n%s%s", out, log)
	}
	want := strings.Join(sweep.Grid("0.3,-", "0.8", 2), "\n") + "\n"
	if _, out, log := typed(t, nil, "sweep", "-alpha", "0.3,-", "-beta", "0.8", "-seeds", "2"); out != want {
		t.Errorf("got %s%s\nwant %s", out, log, want)
	}
	for _, args := range [][]string{{"sweep"}, {"sweep", "a", "b"}, {"sweep", "-table", "-alpha", "0.3"}, {"sweep", "-table", "a"}, {"sweep", "-seeds", "0", "-table"}} {
		if code, out, log := typed(t, nil, args...); code != exitSettings || out != "" {
			t.Errorf("%q: exit %d\n%s%s", args, code, out, log)
		}
	}
}

func TestExitCodeOfASweepSaysWhatIsLeftToDo(t *testing.T) {
	for _, c := range []struct {
		codes []int
		want  int
	}{{[]int{64}, 64}, {[]int{65, 64}, 65}, {[]int{64, 75, 65}, 75}, {[]int{137, 65}, 75}, {[]int{76}, 75}} {
		e := &sweepError{}
		for _, code := range c.codes {
			e.add("run", code)
		}
		if got := exitCode(e); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.codes, got, c.want)
		}
	}
}
