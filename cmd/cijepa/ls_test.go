package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestListOfRuns: the runs of a bucket, those whose names were asked for, and the same for a
// program.
func TestListOfRuns(t *testing.T) {
	bucket := t.TempDir()
	for _, name := range []string{"demo-s0", "demo-s1", "plain"} {
		putRun(t, bucket, name, "demo", nil)
	}
	torn := filepath.Join(bucket, "runs/demo-s2/run.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(torn), 0o777), os.WriteFile(torn, []byte("{"), 0o666)); err != nil {
		t.Fatal(err)
	}
	list := func(args ...string) string {
		t.Helper()
		var said bytes.Buffer
		if err := listRuns(t.Context(), append(args, "file://"+bucket), &said, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		return said.String()
	}
	for text, want := range map[string]int{"demo-s0  begun": 1, "plain    begun": 1, "could not be read: demo-s2: runs/demo-s2/run.json": 1, "\n": 5} {
		if all := list(); strings.Count(all, text) != want {
			t.Errorf("%q stands %d times, not %d, in\n%s", text, strings.Count(all, text), want, all)
		}
	}
	if some := list("-runs", "p*"); strings.Contains(some, "demo") || !strings.Contains(some, "plain") {
		t.Errorf("of p*:\n%s", some)
	}
	if some := list("-runs", "p*", "-runs", "demo-s1"); !strings.Contains(some, "demo-s1") || strings.Contains(some, "demo-s0") || !strings.Contains(some, "plain") {
		t.Errorf("of p* and demo-s1:\n%s", some)
	}
	var found struct {
		Runs []struct {
			Run, Preset, State string
			Top1               *float64
		}
		Unreadable []struct{ Run string }
	}
	if err := json.Unmarshal([]byte(list("-json", "-runs", "demo-*")), &found); err != nil {
		t.Fatal(err)
	}
	if len(found.Runs) != 2 || found.Runs[1].Run != "demo-s1" || found.Runs[1].State != "begun" || found.Runs[1].Top1 != nil || len(found.Unreadable) != 1 {
		t.Errorf("as JSON: %+v", found)
	}
	var said bytes.Buffer
	if err := listRuns(t.Context(), []string{"-runs", "x", "file://" + bucket}, &said, slog.New(slog.DiscardHandler)); !errors.Is(err, errUsage) {
		t.Errorf("of no run: %v", err)
	}

	out := t.TempDir()
	if err := collect(t.Context(), []string{"-runs", "p*", "-out", out, "file://" + bucket}, &said, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile(filepath.Join(out, "runs.csv"))
	if err != nil || bytes.Contains(table, []byte("demo-s0")) || !bytes.Contains(table, []byte("plain")) {
		t.Errorf("the report of p* has %s, %v", table, err)
	}
	if names := commandNames(); !slices.Contains(names, "ls") || slices.Contains(names, "run,") {
		t.Errorf("the commands are %q", names)
	}
}
