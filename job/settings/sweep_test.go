package settings

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// writeRows writes a sweep and names it in the environment.
func writeRows(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CIJEPA_BUCKET", "mem://")
	t.Setenv("CIJEPA_SWEEP", path)
	return path
}

func TestLineOfTheIndexIsLaidOverTheEnvironment(t *testing.T) {
	for _, name := range []string{"CIJEPA_RUN", "CIJEPA_CROP_SCALE"} {
		t.Setenv(name, "") // so that the test puts it back
		os.Unsetenv(name)
	}
	writeRows(t, "# the lines\nCIJEPA_SEED=7\n\n  CIJEPA_PRESET=L300 CIJEPA_RUN='a-b' CIJEPA_CROP_SCALE=\"0.4,1\" # the second run\n")
	t.Setenv("CIJEPA_SEED", "3")
	t.Setenv("CIJEPA_PRESET", "R-U")
	for index, want := range map[string]string{"0": "R-U-s7", "1": "a-b"} {
		t.Setenv("CIJEPA_SEED", "3")
		t.Setenv("JOB_COMPLETION_INDEX", index)
		c, err := Load("", nil)
		if err != nil || c.Run != want {
			t.Errorf("line %s is run %q (%v), want %q", index, c.Run, err, want)
		}
		if index == "1" && (c.Seed != 3 || c.Epochs != 300 || c.CropScale != Range{0.4, 1}) {
			t.Errorf("line 1 is seed %d, %d epochs, crops of %v", c.Seed, c.Epochs, c.CropScale)
		}
		for _, name := range []string{"CIJEPA_RUN", "CIJEPA_CROP_SCALE"} {
			os.Unsetenv(name) // Load leaves the line in the environment
		}
		t.Setenv("CIJEPA_PRESET", "R-U")
	}
	for _, index := range []string{"2", "-1", "", "x"} {
		t.Setenv("JOB_COMPLETION_INDEX", index)
		var faults *Error
		if _, err := Load("", nil); !errors.As(err, &faults) || !strings.Contains(err.Error(), "from 0 to 1") {
			t.Errorf("index %q: %v", index, err)
		}
	}
}

// TestEveryLineIsCheckedBeforeTheFirstRun: with all faults of all lines in one message, and the
// environment as it was.
func TestEveryLineIsCheckedBeforeTheFirstRun(t *testing.T) {
	path := writeRows(t, strings.Join([]string{
		"CIJEPA_SEED=0", "CIJEPA_EPOCHS=many CIJEPA_HEADS=7", "CIJEPA_SEEDS=1", "SEED=1", "CIJEPA_SEED=1 CIJEPA_SEED=2", "CIJEPA_RUN='x", "CIJEPA_SWEEP=other",
	}, "\n"))
	t.Setenv("JOB_COMPLETION_INDEX", "0")
	_, err := Load("", nil)
	var faults *Error
	if !errors.As(err, &faults) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{path + `:4: "SEED=1" is not a setting`, path + ":5: CIJEPA_SEED is set twice", path + ":6: a quote", path + `:7: "CIJEPA_SWEEP=other"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the message lacks %q:\n%v", want, err)
		}
	}
	path = writeRows(t, "CIJEPA_SEED=0\nCIJEPA_EPOCHS=many CIJEPA_HEADS=7\nCIJEPA_SEEDS=1\n\nCIJEPA_SEED=0 CIJEPA_EPOCHS=3\n")
	if _, err = Load("", nil); err == nil {
		t.Fatal("faults of other lines are not told")
	}
	for _, want := range []string{
		path + `:2: CIJEPA_EPOCHS="many": a whole number`, path + ":2: CIJEPA_HEADS=7: ", path + ":3: CIJEPA_SEEDS: not a setting; did you mean CIJEPA_SEED?",
		path + ":5: CIJEPA_RUN=R-A05-B08-s0: the run of line 1 has this name",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the message lacks %q:\n%v", want, err)
		}
	}
	for _, name := range []string{"CIJEPA_EPOCHS", "CIJEPA_HEADS", "CIJEPA_SEEDS", "CIJEPA_SEED"} {
		if v, ok := os.LookupEnv(name); ok {
			t.Errorf("%s=%s is left in the environment", name, v)
		}
	}
	t.Setenv("CIJEPA_BATCH", "0")
	if _, err := Load("", nil); strings.Count(err.Error(), "CIJEPA_BATCH=0") != 1 || !strings.Contains(err.Error(), "\n  CIJEPA_BATCH=0") {
		t.Errorf("a fault of the environment is not told once, without a line:\n%v", err)
	}
	t.Setenv("CIJEPA_BATCH", "8")
	for _, text := range []string{"", "# nothing\n\n"} {
		if _, err := LoadSweep(writeRows(t, text), "", nil); err == nil {
			t.Errorf("%q is a sweep", text)
		}
	}
	if _, err := LoadSweep(filepath.Join(t.TempDir(), "none"), "", nil); !errors.As(err, &faults) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestLinesAreQuotedAsAShellQuotes. The wanted words are those of sh.
func TestLinesAreQuotedAsAShellQuotes(t *testing.T) {
	for line, want := range map[string][]string{
		``:                          nil,
		`  # all of it`:             nil,
		`A=1  B=2	C=3`:              {"A=1", "B=2", "C=3"},
		`A='1 # "2"' # rest`:        {`A=1 # "2"`},
		`A="1 '\$2\" \n"B`:          {`A=1 '$2" \nB`},
		`A=1\ 2\#3#4`:               {"A=1 2#3#4"},
		`'' A=""`:                   {"", "A="},
		`CIJEPA_BUCKET=s3://b?a=1&`: {"CIJEPA_BUCKET=s3://b?a=1&"},
	} {
		if got, err := splitWords(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q (%v), want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`A='1`, `A="1`, `A=1\`} {
		if got, err := splitWords(line); err == nil {
			t.Errorf("%s: %q", line, got)
		}
	}
}
