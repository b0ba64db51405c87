package settings

import (
	"fmt"
	"reflect"
	"strings"
)

// Usage is the manual of all settings and presets as Markdown tables, made from the Config itself. README.md holds it.
func Usage() string {
	var b strings.Builder
	b.WriteString("| variable | default | what |\n|---|---|---|\n")
	c := Defaults()
	for _, s := range fields(reflect.ValueOf(&c).Elem()) {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.variable, code(fmt.Sprint(s.value)), s.field.Tag.Get("desc"))
	}
	b.WriteString("\n| preset | depths | epochs | alpha | beta | rows | post's top-1 |\n|---|---|---|---|---|---|---|\n")
	for _, p := range Presets() {
		fmt.Fprintf(&b, "| `%s` | %s | %d | %s | %s | %d | %g |\n", p.Name, p.Depths, p.Epochs, p.AllToLastWeight, p.LastToLastWeight, p.IntermediateRows, p.PostTop1)
	}
	return b.String()
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// Hyperparameters are the settings as TensorBoard takes them: numbers, truth values and words, named as they are typed.
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
