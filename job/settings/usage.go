package settings

import (
	"fmt"
	"reflect"
	"strings"
)

// Usage returns the tables of all settings and presets, in Markdown. README.md holds a copy.
func Usage() string {
	var yours, method strings.Builder
	c := Defaults()
	for _, s := range fields(reflect.ValueOf(&c).Elem()) {
		table := &yours
		if s.field.Tag.Get("of") == "method" {
			table = &method
		}
		fmt.Fprintf(table, "| `%s` | %s | %s |\n", s.variable, code(fmt.Sprint(s.value)), s.field.Tag.Get("desc"))
	}
	var b strings.Builder
	const header = "| variable | default | what |\n|---|---|---|\n"
	b.WriteString("What you set:\n\n" + header + yours.String())
	b.WriteString("\nWhat the method sets; change these to study the method:\n\n" + header + method.String())
	b.WriteString("\nThe presets:\n\n| preset | depths | epochs | alpha | beta | rows | post's top-1 |\n")
	b.WriteString("|---|---|---|---|---|---|---|\n")
	for _, p := range Presets() {
		fmt.Fprintf(&b, "| `%s` | %s | %d | %s | %s | %d | %g |\n",
			p.Name, p.Depths, p.Epochs, p.AllToLastWeight, p.LastToLastWeight, p.IntermediateRows, p.PostTop1)
	}
	return b.String()
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
	for _, s := range fields(reflect.ValueOf(&r).Elem()) {
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
