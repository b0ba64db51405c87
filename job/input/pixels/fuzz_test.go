package pixels

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/cijepa/cijepa/model/draw"
)

// FuzzImage decodes arbitrary bytes. Decoding may fail, but must not crash, hang or take much
// memory, and a view must not depend on what else of the image is decoded. (go test -fuzz FuzzImage
// -fuzztime 20s)
func FuzzImage(f *testing.F) {
	for _, pattern := range []string{
		"testdata/kinds/*.jpg", "testdata/kinds/*.webp", "testdata/kinds/[a-z]*[a-z0-9].png", "testdata/golden/tiny.jpg",
	} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			f.Fatalf("no files %s: %v", pattern, err)
		}
		for i, name := range names {
			encoded := readFile(f, name)
			f.Add(encoded, uint64(i))
			f.Add(encoded[:len(encoded)*3/4], uint64(i))
			f.Add(withFlippedBits(encoded, len(encoded)/2, 0x5a), uint64(i))
		}
	}
	f.Fuzz(func(t *testing.T, encoded []byte, seed uint64) {
		const timeout = 10 * time.Second
		defer time.AfterFunc(timeout, func() { panic("an image takes too long") }).Stop()
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
