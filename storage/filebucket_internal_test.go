package storage

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Without hard links a second create still fails.
func TestCreateWithoutHardLinks(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x")
	if err := createWithoutLink(name, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := createWithoutLink(name, []byte("second")); !errors.Is(err, os.ErrExist) {
		t.Errorf("second create: %v", err)
	}
	if got, _ := os.ReadFile(name); string(got) != "first" {
		t.Errorf("stored %q", got)
	}
}
