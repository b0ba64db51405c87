package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cijepa/cijepa/job"
	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
	"github.com/google/go-cmp/cmp"
)

// TestStartAgainAfterTheEnd: a finished run is a no-op with exit 0.
func TestStartAgainAfterTheEnd(t *testing.T) {
	t.Parallel()
	bucket := newBucket(t)
	first := finish(t, bucket)
	begin := time.Now()
	second := finish(t, bucket)
	if d := cmp.Diff(first, second); d != "" {
		t.Errorf("the second start changed the result:\n%s", d)
	}
	if took := time.Since(begin); took > patience/2 {
		t.Errorf("a finished run took %v", took)
	}
}

// TestExitCodes: what can go wrong, and what the cluster is told.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	bucket := newBucket(t)
	finish(t, bucket)
	for name, text := range map[string]string{"damaged/index.json": "{", "runs/torn/run.json": `{"version":1,`} {
		path := filepath.Join(strings.TrimPrefix(bucket, "file://"), name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte(text), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		more []string
		code int
		says string
	}{
		{"settings", []string{"CIJEPA_HEADS=3", "CIJEPA_EPOCHS=x"}, 64, "CIJEPA_HEADS=3"},
		{"unknown setting", []string{"CIJEPA_EPOCH=3"}, 64, "did you mean CIJEPA_EPOCHS?"},
		{"another recipe", []string{"CIJEPA_SEED=7", "CIJEPA_RUN=begun"}, 64, "this run was begun with 0"},
		{"finished under another recipe", []string{"CIJEPA_SEED=7"}, 64, "this run was begun with 0"},
		{"a grid without room", []string{"CIJEPA_RUN=w", "CIJEPA_PATCH=14"}, 64, "CIJEPA_TARGET_SCALE=0.15,0.2"},
		{"no data", []string{"CIJEPA_DATA=nowhere", "CIJEPA_RUN=x"}, 64, "cijepa pack"},
		{"batch too large", []string{"CIJEPA_BATCH=5000", "CIJEPA_RUN=y"}, 64, "200 images"},
		{"scheme", []string{"CIJEPA_BUCKET=ftp://x"}, 64, "ftp"},
		{"unreachable", []string{"CIJEPA_BUCKET=s3://bucket?endpoint=http://127.0.0.1:1&use_path_style=true&region=x", "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x", "CIJEPA_RETRY_TIMEOUT=2s"}, 74, "unreachable"},
		{"device", []string{"CIJEPA_BACKEND=xla:/no/such/plugin.so", "CIJEPA_RUN=z"}, 64, "CIJEPA_BACKEND"},
		{"no such device", []string{"CIJEPA_BACKEND=gpu", "CIJEPA_RUN=z"}, 64, "CIJEPA_BACKEND=gpu: must be"},
		{"damaged index", []string{"CIJEPA_DATA=damaged", "CIJEPA_RUN=z"}, 65, "damaged/index.json"},
		{"damaged record", []string{"CIJEPA_RUN=torn"}, 65, "runs/torn/run.json"},
		{"none of these has begun a run", []string{"CIJEPA_RUN=y"}, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "another recipe" { // a run that has begun and not ended
				p, log := start(t, bucket, "CIJEPA_RUN=begun", "CIJEPA_EPOCHS=1000")
				waitFor(t, log, `"msg":"begun"`)
				_ = p.Process.Kill()
				wait(t, p)
			}
			p, log := start(t, bucket, c.more...)
			if code := wait(t, p); code != c.code || !strings.Contains(log.String(), c.says) {
				t.Errorf("exit %d, want %d and %q in\n%s", code, c.code, c.says, log)
			}
		})
	}
}

// TestExitCodeOfErrors: the code of every kind of error, alone and in the company of others.
func TestExitCodeOfErrors(t *testing.T) {
	wrapped := func(err error) error { return fmt.Errorf("in the middle of it: %w", err) }
	for _, c := range []struct {
		err  error
		code int
	}{
		{nil, 0}, {errors.New("anything"), 1},
		{wrapped(&settings.Error{}), 64}, {wrapped(errUsage), 64}, {errors.Join(storage.ErrUnreachable, &settings.Error{}), 64},
		{wrapped(storage.ErrCorrupt), 65}, {wrapped(input.ErrBadSamples), 65},
		{wrapped(storage.ErrUnreachable), 74}, {wrapped(storage.ErrDenied), 75},
		{errors.Join(storage.ErrUnreachable, syscall.ENOSPC), 75}, {errors.Join(storage.ErrUnreachable, &machine.DeviceError{Err: errors.New("gone")}), 75},
		{wrapped(&machine.DeviceError{Err: errors.New("gone")}), 75},
		{wrapped(storage.ErrOvertaken), 76}, {errors.Join(storage.ErrCorrupt, storage.ErrOvertaken), 76},
		{wrapped(job.Stop{}), 143}, {errors.Join(&settings.Error{}, job.ErrStopped), 143},
	} {
		if got := exitCode(c.err); got != c.code {
			t.Errorf("%v: exit %d, want %d", c.err, got, c.code)
		}
	}
}
