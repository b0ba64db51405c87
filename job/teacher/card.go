package teacher

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"text/template"
	"time"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
)

// Card is what the model card of an encoder says.
type Card struct {
	Run, Preset string
	Recipe      settings.Recipe
	Fingerprint string           // of the data
	Network     string           // "teacher" or "student"
	File        string           // its safetensors file, beside the card
	SHA256      string           // of File
	Step        int64            // updates of pretraining before it
	Begun       time.Time        // of the run
	Versions    record.Versions  // that began it
	Result      *settings.Result // of the run, if its figures are this encoder's; else nil
}

// ResultCard is the card of the teacher of a finished run, in the run's folder.
func ResultCard(r settings.Result) Card {
	return Card{
		Run: r.Run, Preset: r.Preset, Recipe: r.Recipe, Fingerprint: r.Data.Fingerprint,
		Network: "teacher", File: File, SHA256: r.Metrics.TeacherSHA256, Step: r.Metrics.Updates,
		Begun: r.Stats.Begun, Versions: r.Versions, Result: &r,
	}
}

// Markdown writes README.md, with the front matter that the Hugging Face hub reads.
func (c Card) Markdown() ([]byte, error) {
	var b bytes.Buffer
	err := cardTemplate.Execute(&b, c)
	return b.Bytes(), err
}

// Pictures are those of the run, if it has some and they are this encoder's.
func (c Card) Pictures() *record.Pictures {
	if c.Result == nil {
		return nil
	}
	return c.Result.Pictures
}

// Scored reports whether there are figures of this encoder.
func (c Card) Scored() bool { return c.Result != nil && c.Result.Metrics.Scored() }

// Dataset is the name of the data: the last part of their prefix.
func (c Card) Dataset() string {
	if c.Recipe.Data == "" {
		return ""
	}
	return path.Base(c.Recipe.Data)
}

// Tokens is the number of tokens of an image.
func (c Card) Tokens() int {
	grid := c.Recipe.Image / c.Recipe.Patch
	return grid * grid
}

// Untrained is the first block that the objective does not reach; 0: there is none.
func (c Card) Untrained() int {
	if after := c.Recipe.Depths[len(c.Recipe.Depths)-1] + 1; after < c.Recipe.Depth {
		return after
	}
	return 0
}

// Program names the program that began the run.
func (c Card) Program() string {
	v := c.Versions
	name := "cijepa"
	for _, part := range []string{v.Program, v.Commit} {
		if part != "" {
			name += " " + part
		}
	}
	return name + ", GoMLX " + v.GoMLX
}

// Verdict is a sentence on a teacher that does not beat its untrained self; empty if it does, or if
// its figures are not known.
func (c Card) Verdict() string {
	if c.Result == nil {
		return ""
	}
	return c.Result.Metrics.Judge(c.Result.Data.ValidationSamples)
}

// MLPRatio is timm's argument.
func (c Card) MLPRatio() int { return c.model().MLPRatio }

// model is the network's sizes.
func (c Card) model() model.Config { return settings.Config{Recipe: c.Recipe}.Model() }

// brackets escapes what would end the text of a picture, or begin something in it.
var brackets = strings.NewReplacer("\\", "\\\\", "[", "\\[", "]", "\\]", "<", "&lt;", "`", "\\`", "*", "\\*", "_", "\\_")

//go:embed card.md.tmpl
var cardText string

var cardTemplate = template.Must(template.New("card").Funcs(template.FuncMap{
	"percent": func(v any) string {
		if p, ok := v.(*float64); ok {
			v = *p
		}
		return fmt.Sprintf("%.2f", v)
	},
	"alt": func(text string) string { return brackets.Replace(record.Printable(text)) }, // of a picture
	"json": func(v any) (string, error) { // YAML reads JSON
		text, err := json.Marshal(v)
		return string(text), err
	},
}).Parse(cardText))
