package input

import (
	"sync/atomic"
	"time"
)

// Batch is one step's images. It and its slices are valid until the next batch is asked for.
type Batch struct {
	Step   int64
	Images []byte        // [Batch, Size, Size, 3] RGB
	Labels []int32       // [Batch]
	N      int           // valid samples; behind them images are black and labels -1
	Wait   time.Duration // how long the caller waited for this batch
}

// slot is the memory of a batch on its way from the planner, which names its samples, through the workers, which fill in one
// image each, to the caller and back.
type slot struct {
	Batch
	epoch   int64
	pending atomic.Int64  // images not yet filled in
	done    chan struct{} // gets a value when pending reaches 0
}

func newSlot(c Config) *slot {
	return &slot{
		Batch: Batch{Images: make([]byte, c.Batch*c.Size*c.Size*3), Labels: make([]int32, c.Batch)},
		done:  make(chan struct{}, 1),
	}
}

// begin empties the slot for n images of a step.
func (s *slot) begin(step, epoch int64, n int) {
	s.Step, s.epoch, s.N, s.Wait = step, epoch, n, 0
	s.pending.Store(int64(n))
	clear(s.Images[len(s.Images)/len(s.Labels)*n:])
	for i := n; i < len(s.Labels); i++ {
		s.Labels[i] = -1
	}
}

// image is the place of image k.
func (s *slot) image(k int) []byte {
	size := len(s.Images) / len(s.Labels)
	return s.Images[size*k : size*(k+1)]
}

// filled counts one image in. Its caller touches the slot no more.
func (s *slot) filled() {
	if s.pending.Add(-1) == 0 {
		s.done <- struct{}{}
	}
}
