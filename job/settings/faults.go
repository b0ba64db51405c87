package settings

import (
	"errors"
	"fmt"
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

// Error holds every fault of the settings; the program exits with 64 on it.
type Error struct{ Faults []Fault }

// NewError is an Error with one fault, of a field of Config. See Error.Add.
func NewError(field string, value any, want string) *Error {
	e := &Error{}
	e.Add(Variable(field), value, want)
	return e
}

// Error lists the faults, one a line.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of the settings cannot work:", len(e.Faults))
	for _, f := range e.Faults {
		b.WriteString("\n  " + f.String())
	}
	return b.String()
}

// Add names a fault once a variable, with the value as it was typed where it was typed.
func (e *Error) Add(variable string, value any, want string) {
	f := Fault{variable, fmt.Sprint(value), want}
	if typed, ok := typed(variable); ok && f.Value != "" && f.Value != strconv.Quote(typed) {
		f.Value = typed
	}
	if !slices.ContainsFunc(e.Faults, func(g Fault) bool { return g.Variable == variable }) {
		e.Faults = append(e.Faults, f)
	}
}

// addError takes an error of envconfig.
func (e *Error) addError(err error) {
	var p *envconfig.ParseError
	if !errors.As(err, &p) {
		e.Add(Prefix, "", err.Error())
		return
	}
	e.Add(p.KeyName, fmt.Sprintf("%q", p.Value), wanted(p))
}

// wanted says what a field takes, where the parser's own words would name Go's types.
func wanted(p *envconfig.ParseError) string {
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

// addModel takes the errors of package model, joined ones apart.
func (e *Error) addModel(err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			e.addModel(one)
		}
		return
	}
	var f *mask.FieldError
	if !errors.As(err, &f) {
		e.Add(Prefix, "", err.Error())
		return
	}
	field := f.Field[strings.LastIndexByte(f.Field, '.')+1:] // Masks.ContextScale is ContextScale here
	if field == "Grid" {
		field = "Patch"
	}
	value := f.Value
	if pair, ok := value.([2]float64); ok {
		value = Range(pair) // as it would be typed
	}
	e.Add(Variable(field), value, f.Want)
}

// OrNil is e, or nil where it holds no fault.
func (e *Error) OrNil() error {
	if len(e.Faults) == 0 {
		return nil
	}
	return e
}
