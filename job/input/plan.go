package input

import (
	"context"
	"slices"
)

// plan resets a buffer for every step and gives its images to the workers. No image of a window is
// started before all of the window before it are done: otherwise the shards of both would be needed
// at once, and a cache with room for one window would evict and fetch them in turn.
func (l *Loader) plan(ctx context.Context, from, to int64, free <-chan *batchBuffer, started chan<- *batchBuffer,
	tasks chan<- task, images *inFlight) {
	var samples []int32
	var shards []int
	current, window := int64(-1), 0 // the epoch, and the position at which the next window begins
	for step := from; step < to; step++ {
		epoch, position := l.position(step)
		if epoch != current {
			current, samples, shards, window = epoch, l.order.samples(epoch), l.order.shards(epoch), position
		}
		var b *batchBuffer
		select {
		case b = <-free:
		case <-ctx.Done():
			return
		}
		batch := samples[position:min(position+l.config.Batch, len(samples))]
		b.reset(step, epoch, len(batch))
		started <- b
		for k, sample := range batch {
			if position+k >= window {
				if !images.wait(ctx) {
					return
				}
				begin := l.order.windowAt(shards, position+k)
				l.announce(epoch, shards, begin, to)
				window = l.order.windowEnd(shards, begin)
			}
			images.add()
			tasks <- task{b, k, int(sample)}
		}
	}
}

// position returns the epoch of a step and the position of the step's first sample in it.
func (l *Loader) position(step int64) (epoch int64, position int) {
	return step / l.perEpoch, int(step%l.perEpoch) * l.config.Batch
}

// announce calls Source.Ahead with the epoch's shards from index begin on, and those of the next
// epoch, as far as the steps before to use them.
func (l *Loader) announce(epoch int64, shards []int, begin int, to int64) {
	next := slices.Clone(shards[begin:l.shardsUsed(epoch, shards, to)])
	if to > (epoch+1)*l.perEpoch {
		following := l.order.shards(epoch + 1)
		next = append(next, following[:l.shardsUsed(epoch+1, following, to)]...)
	}
	l.source.Ahead(next)
}

// shardsUsed returns how many of an epoch's shards the steps before to use, in whole windows.
func (l *Loader) shardsUsed(epoch int64, shards []int, to int64) int {
	last, position := l.position(to - 1)
	if epoch < last {
		return len(shards)
	}
	position = min(position+l.config.Batch, l.order.total()) - 1
	return min(l.order.windowAt(shards, position)+l.order.window, len(shards))
}
