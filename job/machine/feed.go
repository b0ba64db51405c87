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
	Wait   time.Duration // that the training loop stood still for it
}

// Prefetch yields batches with their images on the device. One goroutine copies batches ahead; it ends with the iteration, as the context
// does that batches is called with. A copy that begins beside a step may have to wait on the device until that step is done, so it is
// the one after the next that is copied while a step runs.
func Prefetch(ctx context.Context, learner *model.Learner, batches func(context.Context) iter.Seq2[*input.Batch, error]) iter.Seq2[DeviceBatch, error] {
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
			for range next { // the goroutine must be gone before the learner is
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
