package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A Dockerfile that BuildKit finds fault with is complained of, with the line; one that it does not
// is not; and one that cannot be read, or is none, is an error.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"good":    {"FROM scratch\nCOPY a /a\n", ""},
		"casing":  {"FROM scratch\ncopy a /a\nRUN [\"/a\"]\n", ":2: ConsistentInstructionCasing"},
		"unknown": {"FROM scratch\nFETCH a /a\n", "unknown instruction: FETCH"},
	} {
		path := filepath.Join(t.TempDir(), "Dockerfile")
		if err := os.WriteFile(path, []byte(c.text), 0o666); err != nil {
			t.Fatal(err)
		}
		complaints, err := check(t.Context(), path)
		if err != nil {
			complaints = append(complaints, err.Error())
		}
		if got := strings.Join(complaints, "\n"); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if _, err := check(t.Context(), filepath.Join(t.TempDir(), "Dockerfile")); err == nil {
		t.Error("nothing is said of a file that is not there")
	}
}
