//go:build cgo

package input

import (
	"context"
	"os"
	"testing"

	"github.com/cijepa/cijepa/job/input/pixels"
)

// TestImageCostsOneAllocation: its random numbers, and no pixels.
func TestImageCostsOneAllocation(t *testing.T) {
	encoded, err := os.ReadFile("pixels/testdata/golden/photo420.jpg")
	if err != nil {
		t.Fatal(err)
	}
	l := newLoader(t, &fileSource{[][]byte{encoded}}, Config{Size: 96, Batch: 1, Crop: pixels.ProbeCrop()})
	w := newWorker(l)
	defer w.close()
	buffer := newBatchBuffer(l.config)
	sample := 0
	got := testing.AllocsPerRun(100, func() {
		buffer.reset(0, int64(sample), 1)
		if err := w.fill(context.Background(), task{buffer, 0, 0}); err != nil {
			t.Fatal(err)
		}
		sample++
	})
	if got > 1 {
		t.Errorf("%v allocations an image, want at most 1", got)
	}
}
