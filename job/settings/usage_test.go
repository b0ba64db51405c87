package settings

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write SETTINGS.md, and the drawing of README.md, anew")

// TestGoldenUsage: SETTINGS.md has the tables that cijepa config prints.
func TestGoldenUsage(t *testing.T) {
	const path = "SETTINGS.md"
	want := "# Settings\n\n" + `Environment variables set everything. A variable that begins with ` + "`CIJEPA_`" + ` and is not here is an error, and all errors are
told at once. ` + "`cijepa config`" + ` prints this page; ` + "`cijepa config -env`" + ` prints the settings that the environment makes, and
` + "`cijepa config -env BUCKET RUN`" + ` those of a run, as lines to paste.

` + Usage()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("SETTINGS.md is out of date: run go test ./job/settings -update. It should be\n%s", want)
	}
}

// TestGoldenBucketDrawing: README.md shows the bucket as the package comment of storage draws it.
func TestGoldenBucketDrawing(t *testing.T) {
	doc, err := os.ReadFile("../../storage/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(doc), "# The bucket\n")
	section, _, _ = strings.Cut(section, "// #")
	var drawing []string
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "//\t") || line == "//\n" {
			drawing = append(drawing, strings.TrimPrefix(strings.TrimPrefix(line, "//"), "\t"))
		}
	}
	checkReadme(t, "<data prefix>/index.json", "```", strings.TrimSpace(strings.Join(drawing, ""))+"\n")
}

// checkReadme checks that README.md holds a text from the first begin to the next end. With -update
// it puts the text there.
func checkReadme(t *testing.T, begin, end, want string) {
	t.Helper()
	const path = "../../README.md"
	readme, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(readme), begin)
	got, after, ended := strings.Cut(rest, end)
	if !found || !ended || !strings.HasPrefix(want, begin) {
		t.Fatalf("README.md has no text from %q to %q, or the text does not begin like that", begin, end)
	}
	if begin+got == want {
		return
	}
	if !*update {
		t.Fatalf("README.md is out of date: run go test ./job/settings -update. It should hold\n%s", want)
	}
	if err := os.WriteFile(path, []byte(before+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
