package pixels

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestProgressiveBombsAreRefused: small files that ask for endless scans, or for the coefficients
// of 30,000 x 2,000 pixels.
func TestProgressiveBombsAreRefused(t *testing.T) {
	file := readFile(t, "testdata/golden/progressive.jpg")
	if _, _, err := Verify(withSize(file, 30000, 2000)); err == nil || !strings.Contains(err.Error(), "several scans") {
		t.Errorf("60 million pixels in several scans: %v", err)
	}
	first := bytes.Index(file, []byte("\xff\xda"))
	next := first + 2 + bytes.Index(file[first+2:], []byte("\xff\xc4")) // the tables of the second scan
	many := bytes.Clone(file[:first])
	for range 120 {
		many = append(many, file[first:next]...)
	}
	many = append(many, 0xff, 0xd9)
	if _, _, err := Verify(many); err == nil || !strings.Contains(err.Error(), "too many scans") {
		t.Errorf("120 scans: %v", err)
	}
	begun := time.Now()
	d := NewDecoder()
	defer d.Close()
	for n := len(many); n > first; n -= 997 { // cut anywhere, the limits hold before a pixel is decoded
		_, _, err := d.Size(many[:n])
		if scans := bytes.Count(many[:n], []byte("\xff\xda")); err == nil && scans > maxScans+1 {
			t.Errorf("%d scans in %d bytes", scans, n)
		}
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestLimitsAreThoseOfBothDecoders: no image of the golden ones is beyond them, and an image of 60
// million pixels in one scan passes.
func TestLimitsAreThoseOfBothDecoders(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.jp*g")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkJPEG(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	d := NewDecoder()
	defer d.Close()
	file := withSize(readFile(t, "testdata/golden/photo420.jpg"), 8000, 8000)
	if w, h, err := d.Size(file); err != nil || w != 8000 || h != 8000 {
		t.Errorf("%d x %d, %v", w, h, err)
	}
	if _, _, err := d.Size(withSize(file, 8200, 8200)); err == nil {
		t.Error("67 million pixels pass")
	}
}
