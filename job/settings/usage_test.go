package settings

import (
	"os"
	"strings"
	"testing"
)

// TestGoldenUsage: the manual in README.md is the one that the settings give.
func TestGoldenUsage(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), Usage()) {
		t.Errorf("README.md does not hold the settings as they are; put there what `cijepa config` prints:\n%s", Usage())
	}
}

// TestGoldenBucketDrawing: README.md shows the bucket as the package comment of storage draws it.
func TestGoldenBucketDrawing(t *testing.T) {
	doc, err := os.ReadFile("../../storage/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, drawing, _ := strings.Cut(string(doc), "# The bucket\n//\n")
	drawing, _, found := strings.Cut(drawing, "//\n// #")
	drawing = strings.ReplaceAll(strings.ReplaceAll(drawing, "//\t", ""), "//\n", "\n")
	if !found || !strings.Contains(string(readme), drawing) {
		t.Errorf("README.md does not hold the drawing of storage/doc.go:\n%s", drawing)
	}
}
