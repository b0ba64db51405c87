package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRenovateFindsTheWheels and leaves GoMLX alone: what its patterns miss would grow old without
// a word. CONTRIBUTING.md says how its own validator is run.
func TestRenovateFindsTheWheels(t *testing.T) {
	text, err := os.ReadFile("../../.github/renovate.json")
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Pip struct {
			Patterns []string `json:"managerFilePatterns"`
		} `json:"pip_requirements"`
		Rules []struct {
			Names   []string `json:"matchPackageNames"`
			Enabled *bool    `json:"enabled"`
		} `json:"packageRules"`
	}
	if err := json.Unmarshal(text, &c); err != nil || len(c.Pip.Patterns) != 1 || len(c.Rules) != 1 || len(c.Rules[0].Names) != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	pattern := func(text string) *regexp.Regexp { // between two slashes
		return regexp.MustCompile(strings.TrimSuffix(strings.TrimPrefix(text, "/"), "/"))
	}
	wheels, err := filepath.Glob("../../.image/cuda/*.txt")
	if err != nil || len(wheels) < 5 {
		t.Fatalf("%v, %v", wheels, err)
	}
	for _, name := range wheels {
		if name = strings.TrimPrefix(filepath.ToSlash(name), "../../"); !pattern(c.Pip.Patterns[0]).MatchString(name) {
			t.Errorf("%s does not match %s", name, c.Pip.Patterns[0])
		}
	}
	if r := c.Rules[0]; r.Enabled == nil || *r.Enabled || !pattern(r.Names[0]).MatchString("github.com/gomlx/gomlx") {
		t.Errorf("GoMLX is not left alone: %+v", r)
	}
}
