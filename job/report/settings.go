package report

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
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
		return spans(whole)
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

// spans writes ascending depths as they are typed: 0,3,5-7.
func spans(values []int) string {
	var words []string
	for i := 0; i < len(values); {
		k := i
		for k+1 < len(values) && values[k+1] == values[k]+1 {
			k++
		}
		word := strconv.Itoa(values[i])
		if k > i {
			word += "-" + strconv.Itoa(values[k])
		}
		words = append(words, word)
		i = k + 1
	}
	return strings.Join(words, ",")
}

// Difference is a setting in which runs differ, with the value of each run.
type Difference struct {
	Setting string
	Values  []string
}

// Differences are the settings that are not the same in all runs, in alphabetical order, and last the data itself.
func (r *Report) Differences() []Difference {
	names := map[string]bool{}
	for _, run := range r.Runs {
		for name := range run.Begun.Recipe {
			names[name] = true
		}
	}
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	var all []Difference
	add := func(name string, value func(*Run) string) {
		d := Difference{Setting: name}
		same := true
		for _, run := range r.Runs {
			d.Values = append(d.Values, value(run))
			same = same && d.Values[0] == d.Values[len(d.Values)-1]
		}
		if !same {
			all = append(all, d)
		}
	}
	for _, name := range sorted {
		add(name, func(run *Run) string { return run.Setting(name) })
	}
	add("index.json of the data, sha256", func(run *Run) string { return prefixOf(run.Begun.Fingerprint, 12) })
	add("program", func(run *Run) string {
		return strings.TrimSpace(run.Begun.Versions.Program + " " + prefixOf(run.Begun.Versions.Commit, 8))
	})
	return all
}

func prefixOf(s string, n int) string { return s[:min(len(s), n)] }
