package settings

import (
	"strconv"
	"strings"
	"testing"
)

// TestPresetsAreThePostsTable, which is typed out here once more.
func TestPresetsAreThePostsTable(t *testing.T) {
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
		t.Setenv("CIJEPA_PRESET", name)
		c, err := Load("", nil)
		if err != nil {
			t.Fatalf("%s: %v", row, err)
		}
		p := Presets()[i]
		got := strings.Join([]string{c.Preset, c.Depths.String(), strconv.Itoa(c.Epochs), c.AllToLastWeight.String(), c.LastToLastWeight.String(),
			strconv.Itoa(c.IntermediateRows), strconv.FormatFloat(p.PostTop1, 'f', -1, 64)}, " ")
		if got != row {
			t.Errorf("got %q, want %q", got, row)
		}
	}
}

// TestPresetsInAnyCase name themselves as the table does, and a misspelt one is guessed.
func TestPresetsInAnyCase(t *testing.T) {
	t.Setenv("CIJEPA_BUCKET", "mem://")
	for typed, want := range map[string]string{"r-a05-b08": "R-A05-B08", "l200": "L200", "Demo": "demo", "R-a.-b05": "R-A.-B05"} {
		t.Setenv("CIJEPA_PRESET", typed)
		if c, err := Load("", nil); err != nil || c.Preset != want || c.Run != want+"-s0" {
			t.Errorf("%s: preset %s, run %s, %v", typed, c.Preset, c.Run, err)
		}
	}
	for typed, want := range map[string]string{"R-A5-B08": "did you mean R-A05-B08? It is one of L200, ", "demos": "did you mean demo?", "resnet": "=resnet: one of L200"} {
		t.Setenv("CIJEPA_PRESET", typed)
		if _, err := Load("", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", typed, err)
		}
	}
}
