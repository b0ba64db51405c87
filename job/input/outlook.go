package input

import "slices"

// outlook tells the source of an iteration which shards come next, once for every window of every epoch.
type outlook struct {
	loader *Loader
	to     int64 // the step at which the iteration ends

	// What was told last.
	epoch  int64
	shards []int // in the order of the epoch
	begin  int   // the place in shards of the window's first
}

func (l *Loader) newOutlook(to int64) *outlook { return &outlook{loader: l, to: to, epoch: -1} }

// from tells what is needed from a step on, of this epoch and the next. All steps before must have been handed out: batches are
// completed in order, so that no worker reads from an earlier window by then.
func (o *outlook) from(step int64) {
	if step >= o.to {
		return
	}
	order := o.loader.order
	epoch, position := o.loader.position(step)
	told := epoch == o.epoch
	if !told {
		o.epoch, o.shards = epoch, order.shards(epoch)
	}
	begin := order.windowAt(o.shards, position)
	if told && begin == o.begin {
		return
	}
	o.begin = begin
	next := o.shards[begin:o.end(epoch, o.shards)]
	if o.to > (epoch+1)*o.loader.perEpoch {
		shards := order.shards(epoch + 1)
		next = slices.Concat(next, shards[:o.end(epoch+1, shards)])
	}
	o.loader.source.Ahead(slices.Clone(next))
}

// end returns how many of an epoch's shards the iteration uses.
func (o *outlook) end(epoch int64, shards []int) int {
	last, position := o.loader.position(o.to - 1)
	if epoch < last {
		return len(shards)
	}
	order := o.loader.order
	position = min(position+o.loader.config.Batch, order.total()) - 1
	return min(order.windowAt(shards, position)+order.window, len(shards))
}
