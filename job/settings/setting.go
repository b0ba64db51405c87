package settings

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/kelseyhightower/envconfig"

	"github.com/cijepa/cijepa/job/record"
)

// setting is one field of Config, with the environment variable that sets it.
type setting struct {
	field    reflect.StructField
	value    reflect.Value
	variable string
}

// fields lists the fields of a *Config or a *Recipe in order, those of an embedded Recipe in its
// place.
func fields(of any) []setting {
	var all []setting
	v := reflect.ValueOf(of).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			all = append(all, fields(v.Field(i).Addr().Interface())...)
			continue
		}
		if !f.IsExported() {
			continue // no setting
		}
		all = append(all, setting{f, v.Field(i), Variable(f.Name)})
	}
	return all
}

// read lets envconfig set this one field, in a struct type that has no other. Given a whole Config,
// envconfig would stop at the first fault, and a user wants to see all of them.
func (s setting) read() error {
	f := s.field
	f.Tag += reflect.StructTag(fmt.Sprintf(` envconfig:%q`, strings.TrimPrefix(s.variable, Prefix+"_")))
	one := reflect.New(reflect.StructOf([]reflect.StructField{f}))
	one.Elem().Field(0).Set(s.value)
	if err := envconfig.Process(Prefix, one.Interface()); err != nil {
		return err
	}
	s.value.Set(one.Elem().Field(0))
	return nil
}

// Variable returns the environment variable of a field of Config: AllToLastWeight is
// CIJEPA_ALL_TO_LAST_WEIGHT.
func Variable(field string) string {
	return record.Variable(field)
}

// otherNames are what the field and METHOD.md call a setting that has another name here.
var otherNames = map[string]string{
	"ALPHA": "AllToLastWeight", "BETA": "LastToLastWeight", "ROWS": "IntermediateRows", "LR": "PeakLR", "BATCH_SIZE": "Batch", "MOMENTUM": "EMAMomentum",
}

// suggestion names the known variable that a misspelt one probably means.
func suggestion(v string, known map[string]bool) string {
	words := slices.Sorted(maps.Keys(known))
	for name := range otherNames {
		words = append(words, Prefix+"_"+name)
	}
	slices.Sort(words)
	best := Nearest(v, words, 6)
	if field, ok := otherNames[strings.TrimPrefix(best, Prefix+"_")]; ok {
		best = Variable(field)
	}
	if best == "" {
		return "cijepa config lists them"
	}
	return "did you mean " + best + "?"
}

// Nearest returns the first of the known words with the least edit distance to a misspelt one, case
// aside; empty if the distance is more than most, or so large that the words share nothing.
func Nearest(word string, known []string, most int) string {
	best, distance := "", min(most+1, len(word))
	for _, k := range known {
		if d := editDistance(strings.ToLower(word), strings.ToLower(k)); d < distance {
			best, distance = k, d
		}
	}
	return best
}

// editDistance is the Levenshtein distance of two strings: insertions, deletions and replacements.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
