package input

import (
	"context"
	"slices"
	"sync/atomic"
)

// ahead tells the source which shards come next, from a window of an epoch's shards on: of that epoch and the next, as far as step to.
func (l *Loader) ahead(epoch int64, shards []int, begin int, to int64) {
	next := shards[begin:l.last(epoch, shards, to)]
	if to > (epoch+1)*l.perEpoch {
		following := l.order.shards(epoch + 1)
		next = slices.Concat(next, following[:l.last(epoch+1, following, to)])
	}
	l.source.Ahead(slices.Clone(next))
}

// last returns how many of an epoch's shards the steps before to use.
func (l *Loader) last(epoch int64, shards []int, to int64) int {
	last, position := l.position(to - 1)
	if epoch < last {
		return len(shards)
	}
	position = min(position+l.config.Batch, l.order.total()) - 1
	return min(l.order.windowAt(shards, position)+l.order.window, len(shards))
}

// underway counts the images that were handed to workers and are not done.
type underway struct {
	images atomic.Int64
	none   chan struct{} // has room for one
}

func (u *underway) begin() { u.images.Add(1) }

func (u *underway) end() {
	if u.images.Add(-1) == 0 {
		select {
		case u.none <- struct{}{}:
		default:
		}
	}
}

// settle waits until there are none, and says whether that came before the end of the context.
func (u *underway) settle(ctx context.Context) bool {
	for u.images.Load() > 0 {
		select {
		case <-u.none:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
