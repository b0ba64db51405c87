package pixels

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/cijepa/cijepa/model/draw"
)

// FuzzImage decodes anything: it may fail, but not crash, not hang, not take much memory, and not let a view depend on what else of the
// image is decoded. (go test -fuzz FuzzImage -fuzztime 20s)
func FuzzImage(f *testing.F) {
	for _, pattern := range []string{"testdata/kinds/*.jpg", "testdata/kinds/*.webp", "testdata/kinds/[a-z]*[a-z0-9].png", "testdata/golden/tiny.jpg"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			f.Fatalf("no files %s: %v", pattern, err)
		}
		for i, name := range names {
			encoded := readFile(f, name)
			f.Add(encoded, uint64(i))
			f.Add(encoded[:len(encoded)*3/4], uint64(i))
			f.Add(replaced(encoded, len(encoded)/2, 0x5a), uint64(i))
		}
	}
	f.Fuzz(func(t *testing.T, encoded []byte, seed uint64) {
		const patience = 10 * time.Second
		defer time.AfterFunc(patience, func() { panic("an image takes too long") }).Stop()
		d := NewDecoder()
		defer d.Close()
		width, height, err := d.Size(encoded)
		if err != nil {
			if _, _, err := Verify(encoded); err == nil {
				t.Fatal("Verify passes what training refuses")
			}
			return
		}
		const size = 24
		stream := draw.New(seed, "fuzz")
		crop := []Crop{PretrainCrop(), ProbeCrop(), EvaluationCrop(size)}[stream.IntN(3)]
		checkFuzzedView(t, d, encoded, crop.View(width, height, size, stream))
		if w, h, err := Verify(encoded); err == nil && (w != width || h != height) {
			t.Fatalf("Verify says %dx%d, the header %dx%d", w, h, width, height)
		}
	})
}
