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
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var whole []int
	if json.Unmarshal(raw, &whole) == nil {
		return record.Ranges(whole)
	}
	var numbers []float64
	if json.Unmarshal(raw, &numbers) == nil {
		words := make([]string, len(numbers))
		for i, n := range numbers {
			words[i] = strconv.FormatFloat(n, 'g', -1, 64)
		}
		return strings.Join(words, ",")
	}
	var compact bytes.Buffer
	if json.Compact(&compact, raw) != nil {
		return string(raw)
	}
	return compact.String()
}

// Setting is a setting of the run: see Recipe.Setting.
func (r *Run) Setting(name string) string { return r.Record.Recipe.Setting(name) }
