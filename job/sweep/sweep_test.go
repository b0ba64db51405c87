package sweep

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/machine/machinetest"
	"github.com/cijepa/cijepa/job/settings"
)

func TestMain(m *testing.M) {
	machinetest.UnsetSettings()
	os.Exit(m.Run())
}

// load reads lines as a sweep.
func load(t *testing.T, lines []string) []settings.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o666); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CIJEPA_BUCKET", "mem://")
	configs, err := settings.LoadSweep(path, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return configs
}

func TestTableIsEveryPresetWithEverySeed(t *testing.T) {
	configs := load(t, Table(3))
	if len(configs) != 36 {
		t.Fatalf("%d lines", len(configs))
	}
	seen := map[string]bool{}
	for i, c := range configs {
		p := settings.Presets()[i%12]
		if c.Preset != p.Name || c.Epochs != p.Epochs || c.Seed != uint64(i/12) || seen[c.Run] {
			t.Errorf("line %d is preset %s, seed %d, run %s", i, c.Preset, c.Seed, c.Run)
		}
		seen[c.Run] = true
	}
}

func TestGridIsEveryPairWithEverySeed(t *testing.T) {
	configs := load(t, Grid("0.3,-", "0.6,0.8,-", 2))
	if len(configs) != 12 {
		t.Fatalf("%d lines", len(configs))
	}
	var got []string
	for _, c := range configs {
		got = append(got, strings.Join([]string{c.Run, c.AllToLastWeight.String(), c.LastToLastWeight.String()}, " "))
	}
	want := "a0.3-b0.6-s0 0.3 0.6,a0.3-b0.8-s0 0.3 0.8,a0.3-bunset-s0 0.3 -,aunset-b0.6-s0 - 0.6"
	if all := strings.Join(got, ","); !strings.HasPrefix(all, want+",") || configs[11].Seed != 1 {
		t.Errorf("got %s\nwant %s", all, want)
	}
	only := load(t, Grid("", "0.7", 2))
	if len(only) != 2 || only[1].Run != "b0.7-s1" || only[0].AllToLastWeight.String() != "0.5" {
		t.Errorf("betas alone: %+v", only)
	}
}
