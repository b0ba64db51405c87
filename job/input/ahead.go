package input

import "slices"

// ahead tells the source which shards come next, from a window of an epoch's shards on: of that epoch and the next, as far as step to.
func (l *Loader) ahead(epoch int64, shards []int, begin int, to int64) {
	next := slices.Clone(shards[begin:l.used(epoch, shards, to)])
	if to > (epoch+1)*l.perEpoch {
		following := l.order.shards(epoch + 1)
		next = append(next, following[:l.used(epoch+1, following, to)]...)
	}
	l.source.Ahead(next)
}

// used returns how many of an epoch's shards the steps before to use.
func (l *Loader) used(epoch int64, shards []int, to int64) int {
	last, position := l.position(to - 1)
	if epoch < last {
		return len(shards)
	}
	position = min(position+l.config.Batch, l.order.total()) - 1
	return min(l.order.windowAt(shards, position)+l.order.window, len(shards))
}
