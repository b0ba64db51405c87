package model

import (
	"math"
	"testing"
)

// TestTokensAreThoseThatTheProbePools: their means over an image are the probe's features, by
// depth.
func TestTokensAreThoseThatTheProbePools(t *testing.T) {
	cfg := probeConfig(0, 2, 3)
	cfg.IntermediateRows = 2
	p := newProbe(t, cfg, 5, 4)
	images, _ := labelled(cfg, 2, 5, 1)
	r, err := NewTokenReader(p.device, cfg, []int{0, 3}, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := r.Tokens(strongEncoder(t, cfg), images)
	if err != nil {
		t.Fatal(err)
	}
	n, width := cfg.Grid()*cfg.Grid(), cfg.Width
	if want := 2 * 2 * n * width; len(got) != want {
		t.Fatalf("%d values, want %d", len(got), want)
	}
	pooled, err := p.Features(images) // [2, 3, D]
	if err != nil {
		t.Fatal(err)
	}
	for row, of := range []int{0, 2} { // of the reader's depths and of the probe's
		for image := range 2 {
			for feature := range width {
				var mean float64
				for token := range n {
					mean += float64(got[((row*2+image)*n+token)*width+feature]) / float64(n)
				}
				if want := float64(pooled[(image*3+of)*width+feature]); math.Abs(mean-want) > 1e-5 {
					t.Fatalf("row %d, image %d, feature %d: mean %g, and the probe pools %g", row, image, feature, mean, want)
				}
			}
		}
	}
}

// TestTokenReaderRefusesWhatItCannotRead: other depths, another number of images.
func TestTokenReaderRefusesWhatItCannotRead(t *testing.T) {
	cfg := probeConfig(0, 3)
	p := newProbe(t, cfg, 5, 4)
	if _, err := NewTokenReader(p.device, cfg, []int{0, 4}, 2); err == nil {
		t.Error("a depth that the encoder does not have")
	}
	if _, err := NewTokenReader(p.device, cfg, []int{3}, 0); err == nil {
		t.Error("no image")
	}
	r, err := NewTokenReader(p.device, cfg, []int{3}, 2)
	if err != nil {
		t.Fatal(err)
	}
	images, _ := labelled(cfg, 3, 5, 1)
	if _, err := r.Tokens(strongEncoder(t, cfg), images); err == nil {
		t.Error("three images in place of two")
	}
}
