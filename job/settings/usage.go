package settings

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Usage returns the tables of all settings and presets, in Markdown. SETTINGS.md holds a copy.
func Usage() string {
	var yours, method strings.Builder
	for _, s := range Describe().Settings {
		table := &yours
		if s.OfMethod {
			table = &method
		}
		fmt.Fprintf(table, "| `%s` | %s | %s |\n", s.Variable, code(s.Default), s.What)
	}
	var b strings.Builder
	const header = "| variable | default | what |\n|---|---|---|\n"
	b.WriteString("What you set:\n\n" + header + yours.String())
	b.WriteString("\nWhat the method sets; change these to study the method:\n\n" + header + method.String())
	b.WriteString("\n" + types)
	b.WriteString("\nThe presets, whose names count in any case:\n\n| preset | depths | epochs | alpha | beta | rows | post's top-1 |\n")
	b.WriteString("|---|---|---|---|---|---|---|\n")
	for _, p := range Presets() {
		fmt.Fprintf(&b, "| `%s` | %s | %d | %s | %s | %d | %g |\n",
			p.Name, p.Depths, p.Epochs, p.AllToLastWeight, p.LastToLastWeight, p.IntermediateRows, p.PostTop1)
	}
	plain, demo := Defaults(), Defaults()
	demo.demo()
	fmt.Fprintf(&b, "| `%s` | %s | %d | %s | %s | %d | |\n",
		Demo, demo.Depths, demo.Epochs, demo.AllToLastWeight, demo.LastToLastWeight, demo.IntermediateRows)
	b.WriteString("\nAlpha is `CIJEPA_ALL_TO_LAST_WEIGHT`, beta `CIJEPA_LAST_TO_LAST_WEIGHT`, rows `CIJEPA_INTERMEDIATE_ROWS`.\n")
	b.WriteString("`" + Demo + "`, which two cores train in minutes, also sets")
	var also []string
	defaults := fields(&plain)
	for i, s := range fields(&demo) {
		if value := fmt.Sprint(s.value); value != fmt.Sprint(defaults[i].value) &&
			!slices.Contains([]string{"Depths", "Epochs", "IntermediateRows"}, s.field.Name) { // these are columns
			also = append(also, code(s.variable+"="+value))
		}
	}
	b.WriteString(" " + strings.Join(also, ", ") + ".\n")
	return b.String()
}

// types says how the values of settings are written.
const types = `How values are written:

| value | such as | what |
|---|---|---|
| number | ` + "`64`, `0.5`, `5e-4`" + ` | Shares go from 0 to 1: 0.01 is one percent. Sizes of images and patches are in pixels. |
| switch | ` + "`true`, `false`" + ` | |
| depths | ` + "`1-11`, `0,3,5-7`" + ` | Blocks of the encoder, counted from 0: depth 0 is the output of the first block. |
| weight | ` + "`0.5`, `-`" + ` | From 0 to 1; ` + "`-`" + ` is a weight that is not set. |
| range | ` + "`0.3,1`" + ` | The lowest and the highest value. |
| time | ` + "`90s`, `5m`, `1h30m`" + ` | |
| bytes | ` + "`1500000`, `20GB`, `64GiB`" + ` | GB is 10^9, GiB 2^30. |
`

// Description is what Usage has, for programs.
type Description struct {
	Settings []Described `json:"settings"`
	Presets  []string    `json:"presets"`
}

// Described is one setting.
type Described struct {
	Variable string `json:"variable"`
	Default  string `json:"default"`
	What     string `json:"what"`
	OfMethod bool   `json:"of_method"` // the method sets it: to be changed to study the method
}

// Describe lists all settings and the names of the presets.
func Describe() Description {
	var d Description
	c := Defaults()
	for _, s := range fields(&c) {
		d.Settings = append(d.Settings, Described{s.variable, fmt.Sprint(s.value), s.field.Tag.Get("desc"), s.field.Tag.Get("of") == "method"})
	}
	for _, p := range Presets() {
		d.Presets = append(d.Presets, p.Name)
	}
	d.Presets = append(d.Presets, Demo)
	return d
}

// code sets text in Markdown's code font.
func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// Hyperparameters returns the settings as TensorBoard takes them: float64, bool or string, under
// the lower-case names of their variables without the prefix.
func (r Recipe) Hyperparameters() map[string]any {
	all := map[string]any{}
	for _, s := range fields(&r) {
		name := strings.ToLower(strings.TrimPrefix(s.variable, Prefix+"_"))
		switch v := s.value; {
		case v.CanInt():
			all[name] = float64(v.Int())
		case v.CanUint():
			all[name] = float64(v.Uint())
		case v.CanFloat():
			all[name] = v.Float()
		case v.Kind() == reflect.Bool:
			all[name] = v.Bool()
		default:
			all[name] = fmt.Sprint(v.Interface())
		}
	}
	return all
}
