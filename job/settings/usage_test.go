package settings

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write SETTINGS.md anew")

// TestGoldenUsage: SETTINGS.md has the tables that cijepa config prints.
func TestGoldenUsage(t *testing.T) {
	const path = "SETTINGS.md"
	want := "# Settings\n\n" + `Environment variables set everything. A variable that begins with ` + "`CIJEPA_`" + ` and is not here is an error, and all errors are
told at once. ` + "`cijepa config`" + ` prints this page; ` + "`cijepa config -env`" + ` prints the settings that the environment makes, and
` + "`cijepa config -env BUCKET RUN`" + ` those of a run, as lines to paste.

` + Usage()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("SETTINGS.md is out of date: run go test ./job/settings -update. It should be\n%s", want)
	}
}
