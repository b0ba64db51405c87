package report

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cijepa/cijepa/job/record"
)

// Setting is one setting of the run, as it is typed; empty when the run does not have it.
func (r *Run) Setting(name string) string {
	raw, ok := r.Begun.Recipe[name]
	if !ok {
		return ""
	}
	var text string
	if json.Unmarshal(raw, &text) == nil && string(raw) != "null" {
		return text
	}
	var whole []int
	if json.Unmarshal(raw, &whole) == nil && whole != nil {
		return record.Spans(whole)
	}
	var numbers []float64
	if json.Unmarshal(raw, &numbers) == nil && numbers != nil {
		words := make([]string, len(numbers))
		for i, n := range numbers {
			words[i] = strconv.FormatFloat(n, 'g', -1, 64)
		}
		return strings.Join(words, ",")
	}
	if string(raw) == "null" {
		return "-"
	}
	var compact bytes.Buffer
	if json.Compact(&compact, raw) != nil {
		return string(raw)
	}
	return compact.String()
}

// Difference is a setting in which runs differ, with the value of each run.
type Difference struct {
	Setting string
	Values  []string
}

// Differences are the settings that are not the same in all runs, in alphabetical order, and last the data itself and the program.
func (r *Report) Differences() []Difference {
	all := settings(r.Runs)
	all = append(all, differing("Data, sha256", r.Runs, func(run *Run) string { return prefixOf(run.Begun.Fingerprint, 12) })...)
	return append(all, differing("Program", r.Runs, func(run *Run) string {
		return strings.TrimSpace(run.Begun.Versions.Program + " " + prefixOf(run.Begun.Versions.Commit, 8))
	})...)
}

// settings are those in which some runs differ.
func settings(runs []*Run) (all []Difference) {
	names := map[string]bool{}
	for _, run := range runs {
		for name := range run.Begun.Recipe {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		all = append(all, differing(name, runs, func(run *Run) string { return run.Setting(name) })...)
	}
	return all
}

// differing is one Difference, or none when all runs have one value.
func differing(name string, runs []*Run, value func(*Run) string) []Difference {
	d := Difference{Setting: name}
	same := true
	for _, run := range runs {
		d.Values = append(d.Values, value(run))
		same = same && d.Values[0] == d.Values[len(d.Values)-1]
	}
	if same {
		return nil
	}
	return []Difference{d}
}

func prefixOf(s string, n int) string { return s[:min(len(s), n)] }
