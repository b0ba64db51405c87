package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/report"
	"github.com/cijepa/cijepa/job/settings"
)

// references are the post's runs, with which a report compares ours.
func references() []report.Reference {
	var all []report.Reference
	for _, p := range settings.Presets() {
		c := settings.Defaults()
		p.Apply(&c)
		var recipe history.Recipe
		text, err := json.Marshal(c.Recipe)
		if err = errors.Join(err, json.Unmarshal(text, &recipe)); err != nil {
			panic(err) // they are plain fields
		}
		all = append(all, report.Reference{
			Preset: p.Name, Depths: fmt.Sprint(p.Depths), Epochs: p.Epochs,
			Alpha: fmt.Sprint(p.AllToLastWeight), Beta: fmt.Sprint(p.LastToLastWeight), Rows: p.IntermediateRows, Recipe: recipe, PostTop1: p.PostTop1,
		})
	}
	return all
}
