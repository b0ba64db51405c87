package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
)

// TestConfigPrintsSettingsToPaste: those of the environment, and those that a run was begun with.
func TestConfigPrintsSettingsToPaste(t *testing.T) {
	t.Parallel()
	_, out, log := typed(t, []string{"CIJEPA_PRESET=DEMO", "CIJEPA_DEPTH=6"}, "config", "-env")
	for _, want := range []string{"CIJEPA_PRESET=demo\n", "CIJEPA_DEPTH=6\n", "CIJEPA_DEPTHS=1-5\n", "CIJEPA_PATCH=4\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s%s", want, out, log)
		}
	}
	bucket := t.TempDir()
	stored := settings.RunRecord{Version: record.Version, Preset: "R-U", Recipe: settings.Defaults().Recipe}
	stored.Recipe.Width = 192
	text, err := record.Seal(stored)
	path := filepath.Join(bucket, "runs/mine/run.json")
	if err = errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, text, 0o666)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mine", "runs/mine"} {
		code, out, log := typed(t, nil, "config", "-env", "file://"+bucket, name)
		if lines := strings.Split(out, "\n"); code != 0 || !slices.Contains(lines, "CIJEPA_WIDTH=192") || !slices.Contains(lines, "CIJEPA_RUN=mine") || !slices.Contains(lines, "CIJEPA_BUCKET=file://"+bucket) {
			t.Errorf("exit %d\n%s%s", code, out, log)
		}
	}
}

// TestDocumentsForPrograms: JSON of config and version.
func TestDocumentsForPrograms(t *testing.T) {
	t.Parallel()
	var all settings.Description
	if _, out, log := typed(t, nil, "config", "-json"); json.Unmarshal([]byte(out), &all) != nil || len(all.Settings) < 50 || all.Presets[len(all.Presets)-1] != "demo" {
		t.Errorf("%s%s", out, log)
	}
	for _, s := range all.Settings {
		if s.Variable == "CIJEPA_CROP_SCALE" && (s.Default != "0.3,1" || !s.OfMethod || s.What == "") {
			t.Errorf("%+v", s)
		}
	}
	var versions record.Versions
	if _, out, log := typed(t, nil, "version", "-json"); json.Unmarshal([]byte(out), &versions) != nil || versions.Go == "" || versions.GoMLX == "" {
		t.Errorf("%s%s", out, log)
	}
}
