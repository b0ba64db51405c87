package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cijepa/cijepa/storage/storagetest"
)

// TestStopsInTimeWhateverItIsAt: a device that does not come back in time, here one at a step of
// half a minute, does not keep the process.
func TestStopsInTimeWhateverItIsAt(t *testing.T) {
	slow(t)
	p, log := start(t, newBucket(t), "CIJEPA_BATCH=200", "CIJEPA_WIDTH=256", "CIJEPA_HEADS=4", "CIJEPA_EVAL_EVERY=0", "CIJEPA_STOP_GRACE=4s")
	waitFor(t, log, `"msg":"epoch"`)
	time.Sleep(time.Second) // into the first step
	begin := time.Now()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	code := wait(t, p)
	if took := time.Since(begin); code != 143 || took > patience || !strings.Contains(log.String(), "something did not stop in time") {
		t.Errorf("exit %d after %v\n%s", code, took, log)
	}
}

// TestStopInEveryPhase: wherever SIGTERM comes, and however often, the process is gone soon with
// 143, nothing that was computed is lost when the save fits, and the run ends as if nothing had
// been.
func TestStopInEveryPhase(t *testing.T) {
	t.Parallel()
	slow(t)
	for i, event := range []string{
		`"msg":"opened"`, `"msg":"begun"`, `"msg":"compiled"`, `"msg":"step"`, `"msg":"saved","run":"tiny","phase":"pretrain"`, `"msg":"epoch","run":"tiny","epoch":2`, `"msg":"evaluation"`, `"phase":"pretrain","step":36`,
		`"phase":"probe","step":5`, `"msg":"saved","run":"tiny","phase":"probe","step":7`,
	} {
		if i != 4 && !slowAsked() {
			continue
		}
		bucket := newBucket(t)
		c, log := start(t, bucket)
		waitFor(t, log, event)
		begin := time.Now()
		_ = c.Process.Signal(syscall.SIGTERM)
		time.Sleep(5 * time.Millisecond)
		_ = c.Process.Signal(syscall.SIGTERM)
		code := wait(t, c)
		took := time.Since(begin)
		if code == 0 && strings.Contains(log.String(), `"msg":"done"`) {
			t.Logf("after %s: done before the signal", event)
		} else if code != 143 || took > patience {
			t.Errorf("after %s: exit %d after %v\n%s", event, code, took, log)
		} else if event != `"msg":"opened"` && !strings.Contains(lastAttempt(t, bucket), `"how":"stopped"`) { // before that there is no run
			t.Errorf("after %s: the end is not on record\n%s", event, log)
		}
		var line struct {
			Msg  string
			Lost *int64
		}
		for text := range strings.Lines(log.String()) {
			if json.Unmarshal([]byte(text), &line) == nil && line.Msg == "stopped" && (line.Lost == nil || *line.Lost != 0) {
				t.Errorf("after %s: steps were lost: %s", event, text)
			}
		}
		same(t, "after "+event, finish(t, bucket))
	}
}

// TestRunOutlivesItsReader: a run whose log nobody reads any more goes on to its end, and one whose
// terminal goes away stops as for SIGTERM.
func TestRunOutlivesItsReader(t *testing.T) {
	slow(t)
	bucket := newBucket(t)
	c := child(t, bucket)
	log, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if strings.Contains(lines.Text(), `"msg":"step"`) {
			break
		}
	}
	log.Close()
	if code := wait(t, c); code != 0 {
		t.Errorf("exit %d of a run whose log was closed", code)
	}
	same(t, t.Name(), result(t, bucket))

	if signal.Ignored(syscall.SIGHUP) {
		t.Log("SIGHUP is ignored here, as under nohup, and so it is by the program")
		return
	}
	bucket = newBucket(t)
	c, words := start(t, bucket)
	waitFor(t, words, `"msg":"step"`)
	if err := c.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if code := wait(t, c); code != 143 || !strings.Contains(words.String(), `"lost":0`) {
		t.Errorf("exit %d of a run whose terminal is gone:\n%s", code, words)
	}
}

// TestDeadlineTooShort: a stop that leaves no time to save costs the steps since the last
// checkpoint and nothing else.
func TestDeadlineTooShort(t *testing.T) {
	slow(t)
	bucket := newBucket(t)
	c, log := start(t, bucket, "CIJEPA_STOP_GRACE=0s", "CIJEPA_SAVE_EVERY=1h")
	waitFor(t, log, `"step":10`)
	_ = c.Process.Signal(syscall.SIGTERM)
	if code := wait(t, c); code != 143 {
		t.Fatalf("exit %d\n%s", code, log)
	}
	if !strings.Contains(log.String(), `"saved":0`) {
		t.Errorf("the log does not tell what was lost:\n%s", log)
	}
	same(t, t.Name(), finish(t, bucket))
}

// TestHopelessRunEndsThoughItIsPreempted: updates without a finite gradient count through stops and
// kills, so that a run that is never left alone for long enough to reach the limit still ends with
// the reason.
func TestHopelessRunEndsThoughItIsPreempted(t *testing.T) {
	t.Parallel()
	slow(t)
	bucket := newBucket(t)
	for attempt := range 10 {
		c, log := start(t, bucket, "CIJEPA_EPOCHS=100", "CIJEPA_PEAK_LR=100", "CIJEPA_WEIGHT_DECAY=1e30", "CIJEPA_LOG_EVERY=1", "CIJEPA_SAVE_EVERY=1ms")
		for begin := time.Now(); time.Since(begin) < patience; {
			if strings.Count(log.String(), `"msg":"step"`) >= 8 || strings.Contains(log.String(), `"msg":"ended"`) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		_ = c.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		if code := wait(t, c); code != 143 {
			if code != 1 || attempt < 2 || !strings.Contains(log.String(), "20 updates in a row without a finite gradient") {
				t.Errorf("attempt %d: exit %d\n%s", attempt, code, log)
			}
			return
		}
	}
	t.Error("ten attempts of eight updates, and it goes on")
}

// TestStopBesideAnUpload: a stop that finds an upload on a line too thin for its deadline ends the
// process at the deadline all the same, and the run goes on from the checkpoint before.
func TestStopBesideAnUpload(t *testing.T) {
	slow(t)
	server := storagetest.Start(t, storagetest.S3, "")
	packTiny(t, server.URL())
	keys := []string{"AWS_ACCESS_KEY_ID=" + os.Getenv("AWS_ACCESS_KEY_ID"), "AWS_SECRET_ACCESS_KEY=" + os.Getenv("AWS_SECRET_ACCESS_KEY")}
	const deadline, thin = 2 * time.Second, 30e3 // bytes a second, of a state of 370 kB
	c, log := start(t, server.URLThrough(narrow(t, server.Address, thin)), append(keys, "CIJEPA_DATA_BUCKET="+server.URL(), "CIJEPA_STOP_GRACE="+(deadline+3*time.Second).String())...)
	waitFor(t, log, `"step":10,`)
	begin := time.Now()
	_ = c.Process.Signal(syscall.SIGTERM)
	code := wait(t, c)
	if took := time.Since(begin); code != 143 || took < deadline || took > patience || !strings.Contains(log.String(), `"saved":0,`) {
		t.Errorf("exit %d after %v\n%s", code, took, log)
	}
	c, log = start(t, server.URL(), keys...)
	if code := wait(t, c); code != 0 {
		t.Fatalf("exit %d\n%s", code, log)
	}
	same(t, t.Name(), result(t, server.URL()))
}
