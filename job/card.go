package job

import (
	_ "embed"
	"text/template"
)

//go:embed card.md.tmpl
var cardText string

// cardTemplate makes README.md of the run folder, the model card of teacher.safetensors, from a Result.
var cardTemplate = template.Must(template.New("card").Parse(cardText))
