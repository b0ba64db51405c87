package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/machine/machinetest"
)

// TestMain unsets all variables with the prefix, such as those that choose slow tests: Load refuses
// what is no setting.
func TestMain(m *testing.M) {
	machinetest.UnsetSettings()
	os.Exit(m.Run())
}

func TestDefaultsAreTheBestRun(t *testing.T) {
	t.Setenv("CIJEPA_BUCKET", "mem://")
	got, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.Bucket, want.DataBucket, want.Run = "mem://", "mem://", "R-A05-B08-s0"
	want.CacheDir = defaultCacheDir()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got.Depths.String() != "1-11" || got.Epochs != 200 || got.AllToLastWeight.String() != "0.5" || got.LastToLastWeight.String() != "0.8" || got.IntermediateRows != 2 {
		t.Errorf("the defaults are not run R-A05-B08: %+v", got)
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

// TestAllFaultsAtOnce: every kind of fault, in one message, each with its variable, value and what
// is allowed.
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

// TestDefaultCacheIsNoFolderThatOthersCanPrepare: it lies in this user's home, or bears this user's
// number.
func TestDefaultCacheIsNoFolderThatOthersCanPrepare(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", "")
	for _, c := range []struct{ home, want string }{
		{home, filepath.Join(home, ".cache", "cijepa")}, {"", filepath.Join(os.TempDir(), fmt.Sprintf("cijepa-%d", os.Geteuid()))},
	} {
		t.Setenv("HOME", c.home)
		if got := defaultCacheDir(); got != c.want {
			t.Errorf("with the home %q: %s, want %s", c.home, got, c.want)
		}
	}
}

// TestDepthsFollowDepth where they are not set: a range keeps its start, and one depth alone stays
// alone.
func TestDepthsFollowDepth(t *testing.T) {
	t.Setenv("CIJEPA_BUCKET", "mem://")
	for _, c := range []struct{ preset, depth, want string }{
		{"R-A05-B08", "24", "1-23"}, {"R-A05-B08", "12", "1-11"}, {"R-A05-B08", "4", "1-3"}, {"R-A05-B08-12", "24", "0-23"},
		{"L200", "24", "23"}, {"demo", "6", "1-5"}, {"demo", "3", "1-2"},
	} {
		t.Setenv("CIJEPA_PRESET", c.preset)
		t.Setenv("CIJEPA_DEPTH", c.depth)
		if got, err := Load("", nil); err != nil || got.Depths.String() != c.want {
			t.Errorf("%s with %s blocks: depths %s, want %s; %v", c.preset, c.depth, got.Depths, c.want, err)
		}
	}
}

// TestLogFormatIsReadByItself: a fault of another setting must be told in the right form.
func TestLogFormatIsReadByItself(t *testing.T) {
	t.Setenv("CIJEPA_EPOCHS", "many")
	for _, c := range []struct {
		set                string
		onTerminal, onPipe bool
	}{{"", false, true}, {"json", true, true}, {"text", false, false}, {"xml", false, true}} {
		t.Setenv("CIJEPA_LOG", c.set)
		if a, b := JSONLog(true), JSONLog(false); a != c.onTerminal || b != c.onPipe {
			t.Errorf("CIJEPA_LOG=%q: JSON on a terminal: %v, elsewhere: %v", c.set, a, b)
		}
		if _, err := Load("", nil); strings.Contains(err.Error(), "CIJEPA_LOG=xml: text or json") != (c.set == "xml") {
			t.Errorf("CIJEPA_LOG=%q: %v", c.set, err)
		}
	}
}

// TestOtherNamesOfSettingsAreKnown: what the field calls a setting is answered with its variable.
func TestOtherNamesOfSettingsAreKnown(t *testing.T) {
	for name, field := range otherNames {
		if got, want := suggestion(Prefix+"_"+name, map[string]bool{Variable("Data"): true, Variable("Batch"): true}), "did you mean "+Variable(field)+"?"; got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
