package history

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/cijepa/cijepa/job/record"
)

// Recipe is the settings of a run by name, whatever program wrote them.
type Recipe map[string]json.RawMessage

// RunRecord and Result are run.json and result.json with such a recipe.
type (
	RunRecord = record.RunRecord[Recipe]
	Result    = record.Result[Recipe]
)

// Setting is a value of the recipe as one would type it: "-" for null, and empty for a setting that
// the recipe does not have.
func (r Recipe) Setting(name string) string {
	raw, ok := r[name]
	if !ok {
		return ""
	}
	if string(raw) == "null" {
		return "-"
	}
	var text string
	var whole []int
	var numbers []float64
	var number float64
	var compact bytes.Buffer
	switch {
	case json.Unmarshal(raw, &text) == nil:
		return text
	case json.Unmarshal(raw, &whole) == nil:
		return record.Ranges(whole)
	case json.Unmarshal(raw, &numbers) == nil:
		words := make([]string, len(numbers))
		for i, n := range numbers {
			words[i] = asTyped(n)
		}
		return strings.Join(words, ",")
	case bytes.ContainsAny(raw, ".eE") && json.Unmarshal(raw, &number) == nil:
		return asTyped(number)
	case json.Compact(&compact, raw) == nil:
		return compact.String() // also a whole number, which may have more digits than a float64
	}
	return string(raw)
}

// asTyped writes a number with the 15 digits at most that a float64 holds of any number as it was
// typed. What lies behind them is the rounding of arithmetic: three times 0.1 is 0.3.
func asTyped(v float64) string {
	short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 15, 64), 64)
	if err != nil {
		return strconv.FormatFloat(v, 'g', -1, 64) // it is at the end of the range
	}
	return strconv.FormatFloat(short, 'g', -1, 64)
}

// Setting is a setting of the run: see Recipe.Setting.
func (r *Run) Setting(name string) string { return r.Record.Recipe.Setting(name) }
