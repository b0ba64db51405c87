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

// Loader makes the batches of one split. Its methods may be called concurrently.
type Loader struct {
	source   Source
	config   Config
	order    order
	perEpoch int64 // steps
	bad      *badList
}

// NewLoader checks the configuration against the source. The errors say what is wrong with the one or the other.
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
	l.bad = newBadList(config.BadLimit, total, config.Bad, config.Log)
	return l, nil
}

// StepsPerEpoch returns how many batches an epoch has: 0 when the split does not fill one.
func (l *Loader) StepsPerEpoch() int64 { return l.perEpoch }

// Bad returns the numbers of the samples found undecodable so far, those of Config.Bad among them, ascending: Config.Bad of the next
// Loader of the split.
func (l *Loader) Bad() []int { return l.bad.samples() }

// Ahead tells the source what steps from..to-1 will need, before Batches does.
func (l *Loader) Ahead(from, to int64) {
	if from < to && l.perEpoch > 0 {
		epoch, position := l.position(from)
		shards := l.order.shards(epoch)
		l.ahead(epoch, shards, l.order.windowAt(shards, position), to)
	}
}

// Batches yields the batches of steps from..to-1 in order, counted from 0 through all epochs. A batch is a function of the
// step, whatever the iteration began with. The first error ends the iteration: one of the source, one of the context, or
// ErrBadSamples. All goroutines of an iteration have ended when it ends.
func (l *Loader) Batches(ctx context.Context, from, to int64) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		if from < 0 || from < to && l.perEpoch == 0 {
			yield(nil, fmt.Errorf("no batch of step %d: %d samples make %d batches of %d an epoch",
				from, l.order.total(), l.perEpoch, l.config.Batch))
			return
		}
		slots := min(int64(l.config.Prefetch)+1, to-from)
		if slots <= 0 {
			return
		}
		ctx, cancel := context.WithCancelCause(ctx)
		var group sync.WaitGroup
		defer l.source.Ahead(nil) // or shards of a pass that is over would stay before those of the next
		defer group.Wait()
		defer cancel(nil)

		// A slot goes round: free -> planner -> begun, in the order of steps, and, image by image, tasks -> workers ->
		// its own done channel -> caller -> free. The channels have room for all slots and images there are, so that no
		// send blocks: a planner that sleeps and is woken for every image costs processor time.
		free, begun := make(chan *slot, slots), make(chan *slot, slots)
		tasks := make(chan task, int(slots)*l.config.Batch)
		for range slots {
			free <- newSlot(l.config)
		}
		images := &underway{none: make(chan struct{}, 1)}
		group.Go(func() { l.plan(ctx, from, to, free, begun, tasks, images) })
		for range l.config.Workers {
			group.Go(func() {
				if err := l.work(ctx, tasks, images); err != nil {
					cancel(err)
				}
			})
		}
		for step := from; step < to; step++ {
			s, err := l.next(ctx, begun)
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(&s.Batch, nil) {
				return
			}
			free <- s
		}
	}
}

// plan begins a slot for every step and hands its images to the workers. Of a window no image is begun before all of the one before it are
// done: else the shards of both would be needed at once, and where there is room for one window they would be fetched by turns.
func (l *Loader) plan(ctx context.Context, from, to int64, free <-chan *slot, begun chan<- *slot, tasks chan<- task, images *underway) {
	var samples []int32
	var shards []int
	current, window := int64(-1), 0 // the position at which the next window begins
	for step := from; step < to; step++ {
		epoch, position := l.position(step)
		if epoch != current {
			current, samples, shards, window = epoch, l.order.samples(epoch), l.order.shards(epoch), position
		}
		var s *slot
		select {
		case s = <-free:
		case <-ctx.Done():
			return
		}
		batch := samples[position:min(position+l.config.Batch, len(samples))]
		s.begin(step, epoch, len(batch))
		begun <- s
		for k, sample := range batch {
			if position+k >= window {
				if !images.settle(ctx) {
					return
				}
				begin := l.order.windowAt(shards, position+k)
				l.ahead(epoch, shards, begin, to)
				window = l.order.windowEnd(shards, begin)
			}
			images.begin()
			tasks <- task{s, k, int(sample)}
		}
	}
}

// work fills in images until the context ends.
func (l *Loader) work(ctx context.Context, tasks <-chan task, images *underway) error {
	w := newWorker(l)
	defer w.close()
	for {
		select {
		case t := <-tasks:
			if err := w.fill(ctx, t); err != nil {
				return err
			}
			t.slot.filled()
			images.end()
		case <-ctx.Done():
			return nil
		}
	}
}

// next waits for the next batch.
func (l *Loader) next(ctx context.Context, begun <-chan *slot) (*slot, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err // though a batch may be there
	}
	start := time.Now()
	var s *slot
	select {
	case s = <-begun:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	s.Wait = time.Since(start)
	return s, nil
}

// position returns the epoch of a step and the place of its first sample in it.
func (l *Loader) position(step int64) (epoch int64, position int) {
	return step / l.perEpoch, int(step%l.perEpoch) * l.config.Batch
}
