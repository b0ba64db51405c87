package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReportCommand: what cannot be read is told and hides nothing; what makes no sense is a usage error.
func TestReportCommand(t *testing.T) {
	bucket, out := t.TempDir(), filepath.Join(t.TempDir(), "new", "folder")
	for key, text := range map[string]string{
		"runs/good/run.json":                                `{"version":1,"preset":"R-U","recipe":{"Seed":3,"Epochs":2}}`,
		"runs/good/metrics/steps-a-1-000001.jsonl":          `{"phase":"pretrain","step":5,"epoch":0.5,"loss":0.9}` + "\n",
		"runs/torn/run.json":                                `{"version":`,
		"runs/good/state/pretrain-000000000005-a-1/weights": "x",
	} {
		path := filepath.Join(bucket, key)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	if err := collect(t.Context(), []string{"file://" + bucket, "-out", out, "-upload"}, &said, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1 runs, 0 finished", "could not be read: torn: runs/torn/run.json"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it says %q, without %q", said.String(), want)
		}
	}
	for _, name := range []string{"report.html", "report.md", "runs.csv", "loss.png"} {
		here, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		if there, err := os.ReadFile(filepath.Join(bucket, "report", name)); err != nil || !bytes.Equal(here, there) {
			t.Errorf("%s beside the runs is another: %v", name, err)
		}
	}
	for _, args := range [][]string{{}, {"a", "b"}, {"-nosuch", "file://" + bucket}, {"file://" + t.TempDir()}, {"nosuch://x"}} {
		if err := collect(t.Context(), args, &said, slog.New(slog.DiscardHandler)); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
}
