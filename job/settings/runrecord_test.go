package settings

import (
	"bytes"
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
	whole, err := record.Seal(RunRecord{Version: record.Version, Recipe: recipe})
	if err != nil {
		t.Fatal(err)
	}
	result, err := record.Seal(Result{Version: record.Version, Recipe: recipe})
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

// TestEveryFlippedBitOfARecordIsFound: no flipped bit of run.json or result.json is read as another
// setting, or as "done already".
func TestEveryFlippedBitOfARecordIsFound(t *testing.T) {
	recipe := Defaults().Recipe
	for what, v := range map[string]any{
		"run.json": RunRecord{Version: record.Version, Recipe: recipe}, "result.json": Result{Version: record.Version, Recipe: recipe},
	} {
		text, err := record.Seal(v)
		if err != nil {
			t.Fatal(err)
		}
		read := func() (err error) {
			if what == "run.json" {
				_, err = ReadRunRecord(text, what)
			} else {
				_, err = ReadResult(recipe, text, what)
			}
			return err
		}
		if err := read(); err != nil {
			t.Fatal(err)
		}
		for i := range text {
			for bit := range 8 {
				text[i] ^= 1 << bit
				if err := read(); !errors.Is(err, storage.ErrCorrupt) {
					t.Fatalf("%s, byte %d, bit %d: %v", what, i, bit, err)
				}
				text[i] ^= 1 << bit
			}
		}
	}
}

// TestRecordsAreReadStrictly: a record that somebody has edited, with a checksum that fits, is none
// unless the program could have written it.
func TestRecordsAreReadStrictly(t *testing.T) {
	recipe := Defaults().Recipe
	whole, err := record.Seal(RunRecord{Version: record.Version, Recipe: recipe})
	if err != nil {
		t.Fatal(err)
	}
	body, _, _ := bytes.Cut(whole, []byte(",\n  \"sha256\""))
	for what, edit := range map[string][2]string{
		"nothing":                  {"", ""},
		"unknown field":            {`"preset"`, `"colour": 3, "preset"`},
		"key twice":                {`"MicroBatch": 0`, `"MicroBatch": 0, "MicroBatch": 8`},
		"key in another case":      {`"MicroBatch"`, `"microBatch"`},
		"missing key":              {`"MicroBatch": 0,`, ``},
		"micro-batch, no divisor":  {`"MicroBatch": 0`, `"MicroBatch": 7`},
		"micro-batch below zero":   {`"MicroBatch": 0`, `"MicroBatch": -8`},
		"micro-batch beyond batch": {`"MicroBatch": 0`, `"MicroBatch": 1024`},
	} {
		edited := json.RawMessage(strings.Replace(string(body), edit[0], edit[1], 1) + "}")
		text, err := record.Seal(edited)
		if err != nil {
			t.Fatal(err)
		}
		switch _, err := ReadRunRecord(text, "run.json"); {
		case what == "nothing" && err != nil, what != "nothing" && !errors.Is(err, storage.ErrCorrupt):
			t.Errorf("%s: %v", what, err)
		}
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
