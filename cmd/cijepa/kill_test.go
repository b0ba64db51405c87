package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/storage/storagetest"
)

// TestKills kills the real program at random moments, SIGKILL and SIGTERM, over as many runs as it
// takes, and compares every one with a run that was left alone. CIJEPA_TEST_KILLS sets the number
// of kills.
func TestKills(t *testing.T) {
	t.Parallel()
	kills := killsAsked(t)
	begin := time.Now()
	want, bucket := alone(t)
	if want.Metrics.Updates != 36 || want.Metrics.StateSHA256 == "" || want.Stats.Attempts != 1 || want.Stats.Alarms != 0 {
		t.Fatalf("the run that was left alone is not what it should be: %+v", want.Metrics)
	}
	wantEvals := evaluations(t, bucket)
	if len(wantEvals) != 3+4 { // at the ends of epochs; health also before the first
		t.Fatalf("evaluations and measurements of health: %v", wantEvals)
	}
	done, runs, phases := 0, 0, map[string]int{}
	for done < kills {
		bucket := newBucket(t)
		runs++
		backend := []string{"go:ops_sequential", "go:parallelism=64"}[runs%2] // they must not differ in a bit
		done += kill(t, bucket, min(10, kills-done), undisturbed.took, phases, "CIJEPA_BACKEND="+backend)
		same(t, fmt.Sprintf("run %d, after %d kills", runs, done), finish(t, bucket))
		if d := cmp.Diff(wantEvals, evaluations(t, bucket)); d != "" {
			t.Fatalf("run %d, after %d kills, has other evaluations than the undisturbed run:\n%s", runs, done, d)
		}
	}
	t.Logf("%d kills over %d runs in %.0f s; last event before each: %v; state %.12s, teacher %.12s", done, runs, time.Since(begin).Seconds(), phases, want.Metrics.StateSHA256, want.Metrics.TeacherSHA256)
}

func killsAsked(t *testing.T) int {
	t.Helper()
	kills := 2
	if v := asked["CIJEPA_TEST_KILLS"]; v != "" {
		var err error
		if kills, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	return kills
}

// kill starts a run again and again and kills it at random moments of the time that it takes, up to
// most times or until it is done first. It counts the kills, and in phases what the program had
// told of last.
func kill(t *testing.T, bucket string, most int, whole time.Duration, phases map[string]int, more ...string) (done int) {
	t.Helper()
	for range most {
		c, log := start(t, bucket, more...)
		time.Sleep(rand.N(whole))
		signal := []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM}[rand.IntN(2)]
		_ = c.Process.Signal(signal) // it may have ended by itself
		code := wait(t, c)
		phases[lastEvent(log.String())]++
		if code == 0 {
			break // done before the signal came
		}
		done++
		if want := 128 + int(signal); code != want {
			t.Fatalf("exit %d after %v, want %d\n%s", code, signal, want, log)
		}
	}
	return done
}

// TestKillsOverANetwork is TestKills on an S3 server behind a thin line, where every attempt begins
// with an empty cache: so it is also killed in downloads and uploads.
func TestKillsOverANetwork(t *testing.T) {
	slow(t)
	begin, done, runs, phases := time.Now(), 0, 0, map[string]int{}
	for kills := max(3, killsAsked(t)/5); done < kills; runs++ {
		server := storagetest.Start(t, storagetest.S3, "")
		bucket := server.URLThrough(narrow(t, server.Address, 500e3))
		packTiny(t, server.URL())
		keys := []string{"AWS_ACCESS_KEY_ID=" + os.Getenv("AWS_ACCESS_KEY_ID"), "AWS_SECRET_ACCESS_KEY=" + os.Getenv("AWS_SECRET_ACCESS_KEY")}
		done += kill(t, bucket, min(5, kills-done), 5*time.Second, phases, keys...)
		c, log := start(t, bucket, keys...)
		if code := wait(t, c); code != 0 {
			t.Fatalf("exit %d\n%s", code, log)
		}
		same(t, fmt.Sprintf("run %d, after %d kills", runs, done), result(t, server.URL()))
	}
	t.Logf("%d kills over %d runs in %.0f s; last event before each: %v", done, runs, time.Since(begin).Seconds(), phases)
}

// TestOvertaken: of two processes of one run the one that commits later than the other stops, with
// a code of its own, and the run comes to the same end.
func TestOvertaken(t *testing.T) {
	slow(t)
	const longer = "CIJEPA_EPOCHS=12"
	undisturbed, bucket := newBucket(t), newBucket(t)
	quiet, log := start(t, undisturbed, longer)
	if code := wait(t, quiet); code != 0 {
		t.Fatalf("exit %d\n%s", code, log)
	}
	first, log := start(t, bucket, longer)
	waitFor(t, log, `"msg":"saved"`)
	signal := func(s syscall.Signal) {
		if err := first.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP) // as a pod on a machine that nobody can reach
	second, log2 := start(t, bucket, longer)
	waitFor(t, log2, `"msg":"saved"`)
	signal(syscall.SIGCONT)
	if code := wait(t, first); code != 76 {
		t.Errorf("exit %d, want 76\n%s", code, log)
	}
	if code := wait(t, second); code != 0 {
		t.Fatalf("exit %d\n%s", code, log2)
	}
	if d := cmp.Diff(result(t, undisturbed).Metrics, result(t, bucket).Metrics); d != "" {
		t.Errorf("the run ended otherwise:\n%s", d)
	}
	ends, err := filepath.Glob(filepath.Join(strings.TrimPrefix(bucket, "file://"), "runs/tiny/metrics/attempt-*-000*.jsonl"))
	if err != nil || len(ends) != 3 { // two beginnings
		t.Errorf("of two attempts, one overtaken, there are the lines %v: %v", ends, err)
	}
}
