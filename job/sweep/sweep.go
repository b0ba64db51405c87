// Package sweep makes the lines of a sweep: the post's table, or a grid of the two weights, each
// with as many seeds as are wanted. What a line means is job/settings' to say; who runs it does not
// matter here.
//
//	sweep.go   Table and Grid
package sweep

import (
	"fmt"
	"strings"

	"github.com/cijepa/cijepa/job/settings"
)

// Table returns a line for each row of the post's table and each seed from 0. All rows of a seed
// come before those of the next, so that a sweep that is cut short has a whole table.
func Table(seeds int) []string {
	var lines []string
	for seed := range seeds {
		for _, p := range settings.Presets() {
			lines = append(lines, fmt.Sprintf("%s=%s %s=%d", settings.Variable("Preset"), p.Name, settings.Variable("Seed"), seed))
		}
	}
	return lines
}

// Grid returns a line for each pair of weights and each seed from 0, all pairs of a seed before
// those of the next. The weights of a list stand between commas, as their setting takes them, and
// "-" leaves one unset. An empty list leaves that weight to the environment.
func Grid(alphas, betas string, seeds int) []string {
	var lines []string
	for seed := range seeds {
		for _, a := range strings.Split(alphas, ",") {
			for _, b := range strings.Split(betas, ",") {
				name, words := "", []string{}
				for _, w := range []struct{ letter, field, value string }{{"a", "AllToLastWeight", a}, {"b", "LastToLastWeight", b}} {
					if w.value == "" {
						continue
					}
					name += w.letter + strings.ReplaceAll(w.value, "-", "unset") + "-"
					words = append(words, settings.Variable(w.field)+"="+w.value)
				}
				run := fmt.Sprintf("%s=%ss%d", settings.Variable("Run"), name, seed)
				words = append(words, fmt.Sprintf("%s=%d", settings.Variable("Seed"), seed))
				lines = append(lines, strings.Join(append([]string{run}, words...), " "))
			}
		}
	}
	return lines
}
