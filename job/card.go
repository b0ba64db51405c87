package job

import (
	_ "embed"
	"fmt"
	"text/template"
)

//go:embed card.md.tmpl
var cardText string

// cardTemplate makes README.md of the run folder, the model card of teacher.safetensors, from a Result.
var cardTemplate = template.Must(template.New("card").Funcs(template.FuncMap{"percent": func(v any) string {
	if p, ok := v.(*float64); ok {
		v = *p
	}
	return fmt.Sprintf("%.2f", v)
}}).Parse(cardText))
