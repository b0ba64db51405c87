package job

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/storage"
)

// TestWhatIsThereMustMakeSense: a record or result that is empty, cut, foreign or of another version is damage, told with
// what to do; one of another recipe is a settings error that names the settings.
func TestWhatIsThereMustMakeSense(t *testing.T) {
	recipe := defaults().Recipe
	whole, err := json.Marshal(begun{Version: record.Version, Recipe: recipe})
	if err != nil {
		t.Fatal(err)
	}
	result, err := json.Marshal(Result{Version: record.Version, Recipe: recipe})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "{}", "null", "[]", string(whole[:len(whole)/2]), `{"version":2}`} {
		if _, err := readRecord([]byte(text), "runs/r/run.json"); !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), "runs/r/run.json") || !strings.Contains(err.Error(), "put a copy back") {
			t.Errorf("run.json %q: %v", text, err)
		}
		if _, err := finished(recipe, []byte(text), "runs/r/result.json"); !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), "delete it") {
			t.Errorf("result.json %q: %v", text, err)
		}
	}
	if r, err := readRecord(whole, "k"); err != nil || r.Recipe.Epochs != recipe.Epochs {
		t.Errorf("a whole record: %+v, %v", r, err)
	}
	if _, err := finished(recipe, result, "k"); err != nil {
		t.Errorf("a whole result: %v", err)
	}
	recipe.Seed, recipe.Depths = 7, span(0, 11)
	var settings *SettingsError
	if _, err := finished(recipe, result, "k"); !errors.As(err, &settings) || len(settings.Faults) != 2 {
		t.Errorf("a result of another recipe: %v", err)
	}
}
