package settings

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/storage"
)

// TestForeignRecordsAreRefused: a record or result that is empty, cut or of another program is
// corrupt, and the error says what to do. One of another recipe or version is a settings error.
func TestForeignRecordsAreRefused(t *testing.T) {
	recipe := Defaults().Recipe
	whole, err := json.Marshal(RunRecord{Version: record.Version, Recipe: recipe})
	if err != nil {
		t.Fatal(err)
	}
	result, err := json.Marshal(Result{Version: record.Version, Recipe: recipe})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "{}", "null", "[]", string(whole[:len(whole)/2])} {
		if _, err := ReadRunRecord([]byte(text), "runs/r/run.json"); !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), "runs/r/run.json") || !strings.Contains(err.Error(), "put a copy back") {
			t.Errorf("run.json %q: %v", text, err)
		}
		if _, err := ReadResult(recipe, []byte(text), "runs/r/result.json"); !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), "delete it") {
			t.Errorf("result.json %q: %v", text, err)
		}
	}
	var faults *Error
	newer := []byte(`{"version":3}`)
	if _, err := ReadRunRecord(newer, "runs/r/run.json"); !errors.As(err, &faults) || !strings.Contains(err.Error(), "another version of cijepa has written runs/r/run.json") {
		t.Errorf("run.json of a newer version: %v", err)
	}
	if _, err := ReadResult(recipe, newer, "runs/r/result.json"); !errors.As(err, &faults) || strings.Contains(err.Error(), "delete") {
		t.Errorf("result.json of a newer version: %v", err)
	}
	if r, err := ReadRunRecord(whole, "k"); err != nil || r.Recipe.Epochs != recipe.Epochs {
		t.Errorf("a whole record: %+v, %v", r, err)
	}
	if _, err := ReadResult(recipe, result, "k"); err != nil {
		t.Errorf("a whole result: %v", err)
	}
	recipe.Seed, recipe.Depths = 7, span(0, 11)
	if _, err := ReadResult(recipe, result, "k"); !errors.As(err, &faults) || len(faults.Faults) != 2 {
		t.Errorf("a result of another recipe: %v", err)
	}
}

// TestUnsetMicroBatchIsNoConflict: the run's own holds.
func TestUnsetMicroBatchIsNoConflict(t *testing.T) {
	for _, c := range []struct {
		want, stored int
		same         bool
	}{{0, 0, true}, {0, 8, true}, {8, 8, true}, {4, 8, false}, {8, 0, false}} {
		want, stored := RunRecord{Recipe: Recipe{MicroBatch: c.want}}, RunRecord{Recipe: Recipe{MicroBatch: c.stored}}
		err := Conflicts(want, stored, "run.json")
		if (err == nil) != c.same {
			t.Errorf("%d asked for, %d begun: %v", c.want, c.stored, err)
		}
	}
}
