package input

import (
	"bytes"
	"log/slog"
	"testing"
)

// TestSamplesAreThoseOfBatches: also of one that cannot be decoded, in whose place the next one is.
func TestSamplesAreThoseOfBatches(t *testing.T) {
	source := newFakeSource(t, 6, 0, 5)
	spoil(source, [2]int{0, 2})
	c := smallConfig()
	c.Shuffle, c.KeepPartial, c.BadLimit, c.Log = false, true, 0.3, slog.New(slog.DiscardHandler)
	l := newLoader(t, source, c)
	var images []byte
	var labels []int32
	for _, b := range collect(t, l, 0, l.StepsPerEpoch()) {
		images, labels = append(images, b.Images...), append(labels, b.Labels...)
	}
	numbers := []int{10, 2, 0, 5, 2}
	got, of, err := l.Samples(t.Context(), numbers)
	if err != nil {
		t.Fatal(err)
	}
	const size = 8 * 8 * 3
	for k, n := range numbers {
		if !bytes.Equal(got[k*size:(k+1)*size], images[n*size:(n+1)*size]) || of[k] != labels[n] {
			t.Errorf("sample %d, label %d, is not that of its batch, %d", n, of[k], labels[n])
		}
	}
	for _, n := range []int{-1, 11} {
		if _, _, err := l.Samples(t.Context(), []int{n}); err == nil {
			t.Errorf("there is a sample %d", n)
		}
	}
}
