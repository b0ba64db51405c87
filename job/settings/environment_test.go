package settings

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// setLines sets what the lines assign, as a shell would.
func setLines(t *testing.T, lines []string) {
	t.Helper()
	for _, line := range lines {
		words, err := splitWords(line)
		if err != nil || len(words) != 1 {
			t.Fatalf("%s: %q, %v", line, words, err)
		}
		variable, value, _ := strings.Cut(words[0], "=")
		t.Setenv(variable, value)
	}
}

// unset unsets all settings, until the end of the test.
func unset(t *testing.T) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, Prefix+"_") {
			t.Setenv(name, value) // to have it back
			os.Unsetenv(name)
		}
	}
}

// TestEnvironmentReadsBack: the lines make the same settings in an environment that has no others.
func TestEnvironmentReadsBack(t *testing.T) {
	for _, given := range [][]string{
		{"CIJEPA_PRESET=demo", "CIJEPA_BUCKET='file:///a folder/it'\\''s'", "CIJEPA_DEPTH=6", "CIJEPA_ALL_TO_LAST_WEIGHT=-", "CIJEPA_CACHE_SIZE=20GB",
			"CIJEPA_DATA=", "CIJEPA_RUN=other", "CIJEPA_TEACHER=runs/a@7", "CIJEPA_LISTEN=:9090", "CIJEPA_SAVE_EVERY=90s"},
		{"CIJEPA_BUCKET=s3://b?region=x", "CIJEPA_SEED=18446744073709551615"},
	} {
		setLines(t, given)
		want, err := Load("", nil)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := Environment()
		if err != nil {
			t.Fatal(err)
		}
		unset(t)
		setLines(t, lines)
		if got, err := Load("", nil); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
		}
		unset(t)
	}
}

// TestEnvironmentNeedsNoBucket and says nothing of what is derived: a copy with another seed is
// another run.
func TestEnvironmentNeedsNoBucket(t *testing.T) {
	t.Setenv("CIJEPA_PRESET", "l300")
	lines, err := Environment()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CIJEPA_PRESET=L300", "CIJEPA_EPOCHS=300", "CIJEPA_DEPTHS=11", "CIJEPA_CROP_SCALE=0.3,1", "CIJEPA_ALL_TO_LAST_WEIGHT=-"} {
		if !slices.Contains(lines, want) {
			t.Errorf("no %s in\n%s", want, strings.Join(lines, "\n"))
		}
	}
	for _, line := range lines {
		for _, derived := range []string{"_BUCKET=", "_RUN=", "_CACHE_DIR=", "_SWEEP="} {
			if strings.Contains(line, derived) {
				t.Error(line)
			}
		}
	}
}

// TestRunEnvironmentResumesTheRun that has been recorded: nothing of it conflicts.
func TestRunEnvironmentResumesTheRun(t *testing.T) {
	stored := RunRecord{Preset: "R-U", Recipe: Defaults().Recipe}
	stored.Recipe.Width, stored.Recipe.Heads, stored.Recipe.KNNK, stored.Recipe.MicroBatch, stored.Recipe.AllToLastWeight = 192, 3, 7, 64, Weight{}
	setLines(t, RunEnvironment("file:///b", "it", stored))
	c, err := Load("", nil)
	if err != nil || c.Bucket != "file:///b" || c.Run != "it" || c.Preset != "R-U" {
		t.Fatalf("%v: %+v", err, c)
	}
	if err := Conflicts(RunRecord{Recipe: c.Recipe}, stored, "run.json"); err != nil {
		t.Error(err)
	}
}
