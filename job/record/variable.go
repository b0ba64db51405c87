package record

import (
	"regexp"
	"strings"
)

// Prefix begins the environment variables of all settings, followed by an underscore.
const Prefix = "CIJEPA"

// wordStart matches where a new word begins in a Go name.
var wordStart = regexp.MustCompile(`([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])`)

// Variable returns the environment variable of a setting that a recipe names: AllToLastWeight is
// CIJEPA_ALL_TO_LAST_WEIGHT.
func Variable(field string) string {
	if field == "KNNK" {
		return Prefix + "_KNN_K"
	}
	return Prefix + "_" + strings.ToUpper(wordStart.ReplaceAllString(field, "${1}${3}_${2}${4}"))
}
