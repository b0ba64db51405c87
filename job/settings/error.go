package settings

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kelseyhightower/envconfig"

	"github.com/cijepa/cijepa/model/mask"
)

// Fault is one setting that cannot work.
type Fault struct{ Variable, Value, Want string }

// String names the setting as it was typed.
func (f Fault) String() string {
	if f.Value == "" {
		return f.Variable + ": " + f.Want
	}
	return f.Variable + "=" + f.Value + ": " + f.Want
}

// Error holds every fault of the settings. The program exits with 64 on it.
type Error struct{ Faults []Fault }

// NewError returns an Error with one fault, of a field of Config. See Error.Add.
func NewError(field string, value any, want string) *Error {
	e := &Error{}
	e.Add(Variable(field), value, want)
	return e
}

// Error lists the faults, one a line.
func (e *Error) Error() string {
	var b strings.Builder
	plural := "s"
	if len(e.Faults) == 1 {
		plural = ""
	}
	fmt.Fprintf(&b, "%d setting%s cannot work:", len(e.Faults), plural)
	for _, f := range e.Faults {
		b.WriteString("\n  " + f.String())
	}
	return b.String()
}

// Add adds a fault of a variable or a flag, unless it has one already. The message shows the value
// as it was typed, where the variable is set; an empty value is not shown.
func (e *Error) Add(variable string, value any, want string) {
	f := Fault{variable, fmt.Sprint(value), want}
	if raw, ok := rawValue(variable); ok && f.Value != "" && f.Value != strconv.Quote(raw) {
		f.Value = raw
	}
	if !slices.ContainsFunc(e.Faults, func(g Fault) bool { return g.Variable == variable }) {
		e.Faults = append(e.Faults, f)
	}
}

// OrNil returns e, or nil if it holds no fault.
func (e *Error) OrNil() error {
	if len(e.Faults) == 0 {
		return nil
	}
	return e
}

// addParse adds an error of envconfig.
func (e *Error) addParse(err error) {
	p, ok := errors.AsType[*envconfig.ParseError](err)
	if !ok {
		e.Add(Prefix, "", err.Error())
		return
	}
	e.Add(p.KeyName, fmt.Sprintf("%q", p.Value), parseWant(p))
}

// parseWant says what a field takes, where the parser's own words would name Go's types.
func parseWant(p *envconfig.ParseError) string {
	switch p.TypeName {
	case "int":
		return "a whole number"
	case "uint64":
		return "a whole number, 0 or more"
	case "float64":
		return "a number"
	case "bool":
		return "true or false"
	case "time.Duration":
		return "a duration such as 90s, 5m or 1h30m"
	}
	return p.Err.Error()
}

// addModel adds the faults that package model finds in c.Model(), joined ones apart, each under a
// setting that mends it.
func (e *Error) addModel(c Config, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			e.addModel(c, one)
		}
		return
	}
	f, ok := errors.AsType[*mask.FieldError](err)
	if !ok {
		e.Add(Prefix, "", err.Error())
		return
	}
	field, value, want := strings.TrimPrefix(f.Field, "Masks."), f.Value, f.Want
	switch field {
	case "Grid":
		field, value, want = "Patch", c.Patch, fmt.Sprintf("the grid of %vx%v %s", f.Value, f.Value, f.Want)
	case "MinContext": // a constant of the method: the grid is too small, or the targets are too large
		field, value = "Patch", c.Patch
		if d := Defaults(); c.TargetScale != d.TargetScale || c.TargetAspect != d.TargetAspect {
			field, value = "TargetScale", c.TargetScale
		}
	}
	if _, ok := reflect.TypeFor[Config]().FieldByName(field); !ok {
		e.Add(Prefix, "", err.Error())
		return
	}
	if pair, ok := value.([2]float64); ok {
		value = Range(pair) // as it would be typed
	}
	e.Add(Variable(field), value, withVariables(field, want))
}

// otherField matches a field of a model's sizes with its value in a message.
var otherField = regexp.MustCompile(`\b(Image|Batch|Depth|the width) (\d+)`)

// withVariables names the settings that a model's message on a field names, by their variables.
func withVariables(field, want string) string {
	return otherField.ReplaceAllStringFunc(want, func(found string) string {
		parts := otherField.FindStringSubmatch(found)
		name := parts[1]
		if name == "the width" { // of the encoder or of a predictor, as the heads are
			name = strings.TrimSuffix(field, "Heads") + "Width"
		}
		return Variable(name) + "=" + parts[2]
	})
}
