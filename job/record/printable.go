package record

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable is a text from a bucket as a terminal may show it: in one line, with escape codes and
// other characters that do not print written as Go writes them.
func Printable(text string) string {
	if utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return text
	}
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
