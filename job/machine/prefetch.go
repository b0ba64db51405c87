package machine

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/model"
)

// DeviceBatch is a batch whose images lie on the device.
type DeviceBatch struct {
	Step   int64
	Images *model.Images
	Wait   time.Duration // how long the training loop waited for it
}

// Prefetch yields batches with their images on the device. A goroutine copies them ahead: one waits
// for its step, and the next one is copied. A copy that begins during a step may have to wait on
// the device until that step ends, so it is the batch after the next that is copied then. The
// goroutine, and the context that batches is called with, end with the iteration. The receiver
// frees the images.
func Prefetch(ctx context.Context, learner *model.Learner, batches func(context.Context) iter.Seq2[*input.Batch, error],
) iter.Seq2[DeviceBatch, error] {
	return func(yield func(DeviceBatch, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		type item struct {
			batch DeviceBatch
			err   error
		}
		next := make(chan item, 1)
		go func() {
			defer close(next)
			for b, err := range batches(ctx) {
				var it item
				if err == nil {
					it.batch.Step = b.Step
					if it.batch.Images, err = learner.Upload(b.Images); err != nil {
						err = fmt.Errorf("copying images: %w", &DeviceError{err})
					}
				}
				it.err = err
				select {
				case next <- it:
				case <-ctx.Done():
					return
				}
				if err != nil {
					return
				}
			}
		}()
		defer func() {
			cancel()
			for range next { // the goroutine uses the learner, so it must end first
			}
		}()
		for {
			start := time.Now()
			it, ok := <-next
			if !ok {
				if err := context.Cause(ctx); err != nil {
					yield(DeviceBatch{}, err)
				}
				return
			}
			it.batch.Wait = time.Since(start)
			if !yield(it.batch, it.err) || it.err != nil {
				return
			}
		}
	}
}
