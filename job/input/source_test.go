package input

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"slices"
	"sync"
	"testing"
	"time"
)

// fakeSource is a split in memory. It keeps the rules of Source and fails the test if the loader
// breaks its part of them.
type fakeSource struct {
	t      testing.TB
	sizes  []int
	image  func(shard, sample int) []byte
	delay  time.Duration
	broken map[[2]int]error // the error of View for a sample
	window int              // announced shards that may be read; 0 = all

	mu    sync.Mutex
	ahead [][]int
	views int
}

func (s *fakeSource) Samples() []int { return slices.Clone(s.sizes) }

func (s *fakeSource) Ahead(shards []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, shard := range shards {
		if shard < 0 || shard >= len(s.sizes) {
			s.t.Errorf("Ahead names shard %d of %d", shard, len(s.sizes))
		}
	}
	s.ahead = append(s.ahead, slices.Clone(shards))
}

func (s *fakeSource) View(ctx context.Context, shard, sample int, f func(string, int, []byte) error) error {
	if shard < 0 || shard >= len(s.sizes) || sample < 0 || sample >= s.sizes[shard] {
		s.t.Errorf("View of sample %d of shard %d, which do not exist", sample, shard)
		return fmt.Errorf("no such sample")
	}
	if err := s.broken[[2]int{shard, sample}]; err != nil {
		return err
	}
	if s.delay > 0 {
		select {
		case <-time.After(s.delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	s.views++
	if len(s.ahead) == 0 {
		s.t.Error("View before Ahead")
	} else if named := s.ahead[len(s.ahead)-1]; !slices.Contains(named, shard) {
		s.t.Errorf("View of shard %d, which the last Ahead did not name: %v", shard, named)
	} else if s.window > 0 && !slices.Contains(named[:min(s.window, len(named))], shard) {
		s.t.Errorf("View of shard %d beyond the window of %d: %v", shard, s.window, named)
	}
	s.mu.Unlock()
	// A private copy, wiped afterwards: a loader that keeps the image fails.
	image := bytes.Clone(s.image(shard, sample))
	defer clear(image)
	return f(fmt.Sprintf("%02d/%03d", shard, sample), s.label(shard, sample), image)
}

// viewed returns the number of calls of View.
func (s *fakeSource) viewed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.views
}

func (s *fakeSource) label(shard, sample int) int { return 1000*shard + sample }

// newFakeSource returns shards of the given sizes, of different 8x8 gray PNG files.
func newFakeSource(t testing.TB, sizes ...int) *fakeSource {
	images := make([][][]byte, len(sizes))
	for shard, n := range sizes {
		for sample := range n {
			images[shard] = append(images[shard], numberedPNG(t, shard, sample))
		}
	}
	return &fakeSource{t: t, sizes: sizes, image: func(shard, sample int) []byte { return images[shard][sample] }}
}

func numberedPNG(t testing.TB, shard, sample int) []byte {
	m := image.NewGray(image.Rect(0, 0, 8, 8))
	for i := range m.Pix {
		m.Pix[i] = byte(i*(sample+3) + 17*shard)
	}
	m.SetGray(0, 0, color.Gray{byte(sample)})
	var out bytes.Buffer
	if err := png.Encode(&out, m); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
