package input

import (
	"context"
	"fmt"
	"iter"
	"math"
	"sync"
	"time"

	"github.com/cijepa/cijepa/job/input/pixels"
)

// batchesAhead is how many batches are made ahead of the one in use. One more is in memory.
const batchesAhead = 2

// Loader makes the batches of one split. Its methods may be called concurrently.
type Loader struct {
	source   Source
	config   Config
	order    order
	perEpoch int64 // steps
	bad      *badSamples
}

// NewLoader returns a loader of a source. It fails if a value of the configuration is impossible or
// the source has more samples than an int32 can number.
func NewLoader(source Source, config Config) (*Loader, error) {
	config, err := config.checked()
	if err != nil {
		return nil, err
	}
	pixels.WarnOfFallback(config.Log, config.Size)
	l := &Loader{source: source, config: config}
	l.order = newOrder(config.Seed, source.Samples(), config.Window, config.Shuffle)
	total := l.order.total()
	if total > math.MaxInt32 {
		return nil, fmt.Errorf("%d samples are more than a loader can number", total)
	}
	l.perEpoch = int64(total / config.Batch)
	if config.KeepPartial {
		l.perEpoch = int64((total + config.Batch - 1) / config.Batch)
	}
	l.bad = newBadSamples(config.BadLimit, total, config.Bad, config.Log)
	return l, nil
}

// StepsPerEpoch returns the number of batches of an epoch: 0 if the split does not fill one.
func (l *Loader) StepsPerEpoch() int64 { return l.perEpoch }

// Bad returns the numbers of the samples found undecodable so far, and those of Config.Bad,
// ascending. It is meant for Config.Bad of the next Loader of the split.
func (l *Loader) Bad() []int { return l.bad.numbers() }

// Ahead announces to the source the shards of steps from..to-1, before Batches does.
func (l *Loader) Ahead(from, to int64) {
	if from < to && l.perEpoch > 0 {
		epoch, position := l.position(from)
		shards := l.order.shards(epoch)
		l.announce(epoch, shards, l.order.windowAt(shards, position), to)
	}
}

// Batches yields the batches of steps from..to-1 in order; steps are counted from 0 through all
// epochs. A batch depends on its step alone, not on from. The first error ends the iteration: an
// error of the source, the context's cause, or ErrBadSamples. All goroutines of an iteration have
// ended when it ends.
func (l *Loader) Batches(ctx context.Context, from, to int64) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		if from < 0 || from < to && l.perEpoch == 0 {
			yield(nil, fmt.Errorf("no batch of step %d: %d samples make %d batches of %d an epoch",
				from, l.order.total(), l.perEpoch, l.config.Batch))
			return
		}
		buffers := min(batchesAhead+1, to-from)
		if buffers <= 0 {
			return
		}
		ctx, cancel := context.WithCancelCause(ctx)
		var group sync.WaitGroup
		defer l.source.Ahead(nil) // or the source would keep fetching the shards of this iteration
		defer group.Wait()
		defer cancel(nil)

		// A buffer circulates: free -> planner -> started, in the order of steps -> caller -> free.
		// Its images go tasks -> workers, and its own done channel tells the caller when all are
		// filled in. The channels have room for all buffers and images, so that no send blocks:
		// waking a blocked planner for every image would cost processor time.
		free, started := make(chan *batchBuffer, buffers), make(chan *batchBuffer, buffers)
		tasks := make(chan task, int(buffers)*l.config.Batch)
		for range buffers {
			free <- newBatchBuffer(l.config)
		}
		images := newInFlight()
		group.Go(func() { l.plan(ctx, from, to, free, started, tasks, images) })
		for range l.config.workers {
			group.Go(func() {
				if err := l.work(ctx, tasks, images); err != nil {
					cancel(err)
				}
			})
		}
		for step := from; step < to; step++ {
			b, err := l.next(ctx, started)
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(&b.Batch, nil) {
				return
			}
			free <- b
		}
	}
}

// next waits for the next batch.
func (l *Loader) next(ctx context.Context, started <-chan *batchBuffer) (*batchBuffer, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err // even if a batch is ready
	}
	start := time.Now()
	var b *batchBuffer
	select {
	case b = <-started:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case <-b.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	b.Wait = time.Since(start)
	return b, nil
}
