package settings

import (
	"errors"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// TestMain forgets the variables of other tests (CIJEPA_GOLDEN and the like): Load refuses what is not a setting.
func TestMain(m *testing.M) {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, Prefix+"_") {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

// TestGoldenUsage: the manual in README.md is the one that the settings give.
func TestGoldenUsage(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), Usage()) {
		t.Errorf("README.md does not hold the settings as they are; put there what `cijepa config` prints:\n%s", Usage())
	}
}

// TestGoldenBucketDrawing: README.md shows the bucket as the package comment of storage draws it.
func TestGoldenBucketDrawing(t *testing.T) {
	doc, err := os.ReadFile("../../storage/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, drawing, _ := strings.Cut(string(doc), "# The bucket\n//\n")
	drawing, _, found := strings.Cut(drawing, "//\n// #")
	drawing = strings.ReplaceAll(strings.ReplaceAll(drawing, "//\t", ""), "//\n", "\n")
	if !found || !strings.Contains(string(readme), drawing) {
		t.Errorf("README.md does not hold the drawing of storage/doc.go:\n%s", drawing)
	}
}

func TestDefaultsAreTheBestRun(t *testing.T) {
	t.Setenv("CIJEPA_BUCKET", "mem://")
	got, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.Bucket, want.DataBucket, want.Run = "mem://", "mem://", "R-A05-B08-s0"
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got.Depths.String() != "1-11" || got.Epochs != 200 || got.AllToLastWeight.String() != "0.5" || got.LastToLastWeight.String() != "0.8" || got.IntermediateRows != 2 {
		t.Errorf("the defaults are not run R-A05-B08: %+v", got)
	}
}

// TestPresets checks the twelve rows against the post's table, typed out here once more.
func TestPresets(t *testing.T) {
	table := `L200 11 200 - - 0 64.04
L300 11 300 - - 0 66.96
R-U 1-11 200 - - 2 67.34
R-A05-B05 1-11 200 0.5 - 2 68.96
R-A08-B08 1-11 200 0.8 - 2 66.94
R-A05-B08 1-11 200 0.5 0.8 2 70.06
R-A05-B08-12 0-11 200 0.5 0.8 2 69.1
R-B05 1-11 200 - 0.5 2 68.42
R-B08 1-11 200 - 0.8 2 69.36
R-A05-B10 1-11 200 0.5 1 2 69.22
R-A.-B05 1-11 200 - 0.5 0 64.66
R-A.-B08 1-11 200 - 0.8 0 66.02`
	t.Setenv("CIJEPA_BUCKET", "mem://")
	for i, row := range strings.Split(table, "\n") {
		name, _, _ := strings.Cut(row, " ")
		for _, way := range []string{name, "table"} {
			t.Setenv("CIJEPA_PRESET", way)
			t.Setenv("JOB_COMPLETION_INDEX", strconv.Itoa(i))
			c, err := Load("", nil)
			if err != nil {
				t.Fatalf("%s: %v", row, err)
			}
			p := Presets()[i]
			got := strings.Join([]string{c.Preset, c.Depths.String(), strconv.Itoa(c.Epochs), c.AllToLastWeight.String(), c.LastToLastWeight.String(),
				strconv.Itoa(c.IntermediateRows), strconv.FormatFloat(p.PostTop1, 'f', -1, 64)}, " ")
			if got != row {
				t.Errorf("preset by %s: got %q, want %q", way, got, row)
			}
		}
	}
}

func TestSettingsOverridePreset(t *testing.T) {
	t.Setenv("CIJEPA_BUCKET", "mem://")
	t.Setenv("CIJEPA_PRESET", "L300")
	t.Setenv("CIJEPA_EPOCHS", "7")
	t.Setenv("CIJEPA_SEED", "18446744073709551615")
	t.Setenv("CIJEPA_CACHE_SIZE", "20GB")
	t.Setenv("CIJEPA_SAVE_EVERY", "90s")
	c, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Epochs != 7 || c.Depths.String() != "11" || c.Seed != 1<<64-1 || c.CacheSize != 20e9 || c.SaveEvery.String() != "1m30s" {
		t.Errorf("got %+v", c)
	}
	if c.Run != "L300-s18446744073709551615" {
		t.Errorf("run %q", c.Run)
	}
}

// TestAllFaultsAtOnce: every kind of fault, in one message, each with its variable, value and what is allowed.
func TestAllFaultsAtOnce(t *testing.T) {
	for name, value := range map[string]string{
		"CIJEPA_EPOCHS": "many", "CIJEPA_HEADS": "7", "CIJEPA_DEPTHS": "3-99", "CIJEPA_ALL_TO_LAST_WEIGHT": "1.5",
		"CIJEPA_CROP_SCALE": "2", "CIJEPA_SAVE_EVERY": "5", "CIJEPA_BACKEND": "go", "CIJEPA_BATHC": "64", "CIJEPA_RUN": "a/b",
		"CIJEPA_TARGET_NORM": "perhaps", "CIJEPA_SEED": "-1", "CIJEPA_CACHE_SIZE": "big", "CIJEPA_BATCH": "10", "CIJEPA_MICRO_BATCH": "3",
	} {
		t.Setenv(name, value)
	}
	_, err := Load("", nil)
	var settings *Error
	if !errors.As(err, &settings) {
		t.Fatalf("got %v, want a *SettingsError", err)
	}
	text := err.Error()
	for _, want := range []string{
		`CIJEPA_BUCKET: the URL`, `CIJEPA_EPOCHS="many": a whole number`, `CIJEPA_HEADS=7: `, `CIJEPA_DEPTHS=3-99: `,
		`CIJEPA_ALL_TO_LAST_WEIGHT=1.5: `, `CIJEPA_CROP_SCALE="2": two numbers`, `CIJEPA_SAVE_EVERY="5": a duration`, `CIJEPA_BACKEND=go: `,
		`CIJEPA_BATHC: not a setting; did you mean CIJEPA_BATCH?`, `CIJEPA_RUN=a/b: `, `CIJEPA_TARGET_NORM="perhaps": true or false`,
		`CIJEPA_SEED="-1": a whole number, 0 or more`, `CIJEPA_CACHE_SIZE="big": an amount`, `CIJEPA_MICRO_BATCH=3: `,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the message lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// What is so large that products of it would not fit is refused before anything is opened.
func TestTooLargeToBeMeant(t *testing.T) {
	t.Setenv("CIJEPA_BUCKET", "mem://")
	for name, value := range map[string]string{
		"CIJEPA_EPOCHS": "100000000000000000", "CIJEPA_KEEP_EVERY": "4611686018427387904", "CIJEPA_EVAL_EVERY": "1000001", "CIJEPA_IMAGE": "8192",
		"CIJEPA_PROBE_EPOCHS": "1000001", "CIJEPA_PROBE_BATCH": "1000001", "CIJEPA_KNN_K": "10001",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			var settings *Error
			if _, err := Load("", nil); !errors.As(err, &settings) || settings.Faults[0].Variable != name {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestDataIsAFolder(t *testing.T) {
	t.Setenv("CIJEPA_BUCKET", "mem://")
	for data, fits := range map[string]bool{"imagenet-100": true, "sets/imagenet-100": true, "": true, "/a": false, "a/": false, "a//b": false, "../a": false, ".": false} {
		t.Setenv("CIJEPA_DATA", data)
		var settings *Error
		if _, err := Load("", nil); (err == nil) != fits || !fits && !errors.As(err, &settings) {
			t.Errorf("%q: %v", data, err)
		}
	}
}

func TestTableNeedsAnIndex(t *testing.T) {
	t.Setenv("CIJEPA_BUCKET", "mem://")
	t.Setenv("CIJEPA_PRESET", "table")
	for _, index := range []string{"", "12", "-1", "x"} {
		t.Setenv("JOB_COMPLETION_INDEX", index)
		if _, err := Load("", nil); err == nil || !strings.Contains(err.Error(), "JOB_COMPLETION_INDEX from 0 to 11") {
			t.Errorf("index %q: %v", index, err)
		}
	}
}

func TestValuesReadAsTheyAreWritten(t *testing.T) {
	for _, s := range []string{"0", "1-11", "0,3,5-7"} {
		var d DepthSet
		if err := d.Decode(s); err != nil || d.String() != s {
			t.Errorf("DepthSet %q: %v, %v", s, d, err)
		}
	}
	for _, s := range []string{"-", "0.5", "1"} {
		var w Weight
		if err := w.Decode(s); err != nil || w.String() != s {
			t.Errorf("Weight %q: %v, %v", s, w, err)
		}
	}
	for s, want := range map[string]string{"20GB": "20GB", "64GiB": "64GiB", "1500000": "1500kB", "0": "0", "7": "7", "1e3": "1kB"} {
		var b Bytes
		if err := b.Decode(s); err != nil || b.String() != want {
			t.Errorf("Bytes %q: %v, %v", s, b, err)
		}
	}
	for _, s := range []string{"", "a", "3-1", "1-", "1,,2", "-3"} {
		if err := new(DepthSet).Decode(s); err == nil {
			t.Errorf("DepthSet takes %q", s)
		}
	}
}
