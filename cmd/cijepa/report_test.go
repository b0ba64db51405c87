package main

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
)

// TestReportNamesWhatItCannotRead and reports the rest. Wrong arguments are usage errors, and no
// bucket is created by reading it.
func TestReportNamesWhatItCannotRead(t *testing.T) {
	bucket, out := t.TempDir(), filepath.Join(t.TempDir(), "new", "folder")
	good, err := record.Seal(record.RunRecord[map[string]any]{Version: record.Version, Preset: "R-U", Recipe: map[string]any{"Seed": 3, "Epochs": 2}})
	if err != nil {
		t.Fatal(err)
	}
	for key, text := range map[string]string{
		"runs/good/run.json":                                string(good),
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
	for _, want := range []string{"good  epoch 0.5 of 2", "1 run, 0 finished, 0 alarms: ", "could not be read: torn: runs/torn/run.json"} {
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
	missing := filepath.Join(t.TempDir(), "missing")
	for _, args := range [][]string{{}, {"a", "b"}, {"-nosuch", "file://" + bucket}, {"file://" + t.TempDir()}, {"nosuch://x"}, {"file://" + missing}, {"file://" + missing, "-upload"}} {
		if err := collect(t.Context(), args, &said, slog.New(slog.DiscardHandler)); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a bucket that is only read was made: %v", err)
	}
}

// TestReportComparesEveryPresetWithThePost: a finished run with the settings of a preset and the
// post's top-1 is within noise.
func TestReportComparesEveryPresetWithThePost(t *testing.T) {
	for _, entry := range os.Environ() { // a setting of whoever runs the tests is none of the runs'
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "CIJEPA_") {
			t.Setenv(name, value) // to have it back afterwards
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	folder := t.TempDir()
	presets := settings.Presets()
	for _, p := range presets {
		t.Setenv("CIJEPA_PRESET", p.Name)
		cfg, err := settings.Load("", func(c *settings.Config) { c.Bucket = "file://" + folder })
		if err != nil {
			t.Fatal(err)
		}
		for name, v := range map[string]any{
			"run.json": record.RunRecord[settings.Recipe]{Version: record.Version, Preset: p.Name, Recipe: cfg.Recipe},
			"result.json": record.Result[settings.Recipe]{
				Version: record.Version, Preset: p.Name, Recipe: cfg.Recipe, PostTop1: &p.PostTop1, Data: record.Data{ValidationSamples: 5000},
				Metrics: record.Metrics{Top1: p.PostTop1, Depths: []record.DepthMetrics{{Depth: 11}}},
			},
		} {
			text, err := record.Seal(v)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(folder, "runs", cfg.Run, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, text, 0o666)); err != nil {
				t.Fatal(err)
			}
		}
	}
	out := t.TempDir()
	if err := collect(t.Context(), []string{"file://" + folder, "-out", out}, io.Discard, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(out, "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "Within noise: 0.00 points"); n != len(presets) {
		t.Errorf("%d of %d presets are compared with the post:\n%s", n, len(presets), text)
	}
}

// putRun writes the run.json of a run.
func putRun(t *testing.T, bucket, name, preset string, recipe map[string]any) {
	t.Helper()
	text, err := record.Seal(record.RunRecord[map[string]any]{Version: record.Version, Preset: preset, Recipe: recipe})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(bucket, "runs", name, "run.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, text, 0o666)); err != nil {
		t.Fatal(err)
	}
}

// TestReportReplacesWhatItWroteBefore and nothing else: files of others, and its own that somebody
// has changed, stay.
func TestReportReplacesWhatItWroteBefore(t *testing.T) {
	bucket, out := t.TempDir(), t.TempDir()
	putRun(t, bucket, "a", "R-U", nil)
	metrics := filepath.Join(bucket, "runs/a/metrics/steps-a-1-000001.jsonl")
	lines := `{"phase":"pretrain","step":5,"epoch":0.5,"loss":0.9,"images_per_second":5}` + "\n"
	if err := errors.Join(os.Mkdir(filepath.Dir(metrics), 0o777), os.WriteFile(metrics, []byte(lines), 0o666)); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(out, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	run := func() error {
		return collect(t.Context(), []string{"file://" + bucket, "-out", out}, io.Discard, slog.New(slog.DiscardHandler))
	}
	write("table-other.png", "of somebody else")
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("of somebody else"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := run(); err != nil {
		t.Fatal(err)
	}
	write("throughput.png", "changed by hand")
	if err := errors.Join(os.Remove(metrics), os.Remove(filepath.Join(out, "runs.csv")), os.Symlink(victim, filepath.Join(out, "runs.csv"))); err != nil {
		t.Fatal(err)
	}
	if err := run(); err != nil { // now without charts
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(out, "loss.png")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a chart of the report before is left: %v", err)
	}
	for path, want := range map[string]string{
		filepath.Join(out, "table-other.png"): "of somebody else", filepath.Join(out, "throughput.png"): "changed by hand", victim: "of somebody else",
	} {
		if text, err := os.ReadFile(path); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
	out = t.TempDir()
	write("report.md", "of somebody else")
	if err := run(); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), "report.md") {
		t.Errorf("a folder with another report.md: %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(out, "report.md")); err != nil || string(text) != "of somebody else" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestUploadReplacesWhatItPutThereBefore and no other object, nor one that somebody has changed.
func TestUploadReplacesWhatItPutThereBefore(t *testing.T) {
	bucket, out := t.TempDir(), t.TempDir()
	putRun(t, bucket, "a", "R-U", nil)
	metrics := filepath.Join(bucket, "runs/a/metrics/steps-a-1-000001.jsonl")
	lines := `{"phase":"pretrain","step":5,"epoch":0.5,"loss":0.9,"images_per_second":5}` + "\n"
	if err := errors.Join(os.Mkdir(filepath.Dir(metrics), 0o777), os.WriteFile(metrics, []byte(lines), 0o666)); err != nil {
		t.Fatal(err)
	}
	upload := func() {
		t.Helper()
		if err := collect(t.Context(), []string{"-upload", "file://" + bucket, "-out", out}, io.Discard, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
	}
	upload()
	report := filepath.Join(bucket, "report")
	kept := map[string]string{"other.png": "of somebody else", "throughput.png": "changed by hand"}
	for name, text := range kept {
		if err := os.WriteFile(filepath.Join(report, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(filepath.Join(report, "loss.png")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(metrics); err != nil {
		t.Fatal(err)
	}
	upload() // now without charts
	if _, err := os.Lstat(filepath.Join(report, "loss.png")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a chart of the report before is left: %v", err)
	}
	for name, want := range kept {
		if text, err := os.ReadFile(filepath.Join(report, name)); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	for _, name := range []string{"report.html", reportList} {
		if _, err := os.Lstat(filepath.Join(report, name)); err != nil {
			t.Error(err)
		}
	}
}

// TestReportPrintsNoEscapeCodes: names from a bucket neither control the terminal nor begin a line.
func TestReportPrintsNoEscapeCodes(t *testing.T) {
	bucket, out := t.TempDir(), t.TempDir()
	putRun(t, bucket, "good", "R-U", nil)
	for _, name := range []string{"a\x1b[2Jb", "c\nd", "e\u202ef"} {
		path := filepath.Join(bucket, "runs", name, "run.json")
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte("{"), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	if err := collect(t.Context(), []string{"file://" + bucket, "-out", out}, &said, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(said.String(), "\x1b\u202e") || strings.Count(said.String(), "\n") != 6 || !strings.Contains(said.String(), `c\nd`) {
		t.Errorf("%q", said.String())
	}
}
