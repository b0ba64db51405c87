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
	N      int           // valid samples; the images after them are black, their labels -1
	Wait   time.Duration // how long the caller waited for this batch
}

// batchBuffer is the memory of one batch, used again for a later step. The planner names its
// samples, workers fill in one image each, the caller reads it and gives it back.
type batchBuffer struct {
	Batch
	epoch   int64
	pending atomic.Int64  // images not yet filled in
	done    chan struct{} // receives a value when pending reaches 0
}

func newBatchBuffer(c Config) *batchBuffer {
	return &batchBuffer{
		Batch: Batch{Images: make([]byte, c.Batch*c.Size*c.Size*3), Labels: make([]int32, c.Batch)},
		done:  make(chan struct{}, 1),
	}
}

// reset prepares the buffer for n images of a step.
func (b *batchBuffer) reset(step, epoch int64, n int) {
	b.Step, b.epoch, b.N, b.Wait = step, epoch, n, 0
	b.pending.Store(int64(n))
	clear(b.Images[len(b.Images)/len(b.Labels)*n:])
	for i := n; i < len(b.Labels); i++ {
		b.Labels[i] = -1
	}
}

// image returns the memory of image k, [Size, Size, 3].
func (b *batchBuffer) image(k int) []byte {
	size := len(b.Images) / len(b.Labels)
	return b.Images[size*k : size*(k+1)]
}

// filled counts one image as filled in. The worker must not touch the buffer afterwards.
func (b *batchBuffer) filled() {
	if b.pending.Add(-1) == 0 {
		b.done <- struct{}{}
	}
}
