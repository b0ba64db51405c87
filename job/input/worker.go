package input

import (
	"context"
	"fmt"

	"github.com/cijepa/cijepa/job/input/pixels"
	"github.com/cijepa/cijepa/model/draw"
)

// task is one image to decode: a sample becomes image k of the buffer.
type task struct {
	buffer *batchBuffer
	k      int
	sample int
}

// worker fills in the images of batches, one at a time. It serves one goroutine.
type worker struct {
	loader  *Loader
	decoder *pixels.Decoder
	visit   func(key string, label int, image []byte) error // w.decode, bound once: a closure an image costs memory

	// Set by fill for decode, and by decode for fill.
	task task
	key  string
	err  error // why the image cannot be decoded
}

func newWorker(l *Loader) *worker {
	w := &worker{loader: l, decoder: pixels.NewDecoder()}
	w.visit = w.decode
	return w
}

func (w *worker) close() { w.decoder.Close() }

// work fills in images until the context ends.
func (l *Loader) work(ctx context.Context, tasks <-chan task, images *inFlight) error {
	w := newWorker(l)
	defer w.close()
	for {
		select {
		case t := <-tasks:
			if err := w.fill(ctx, t); err != nil {
				return err
			}
			t.buffer.filled()
			images.done()
		case <-ctx.Done():
			return nil
		}
	}
}

// fill makes one image. A sample that cannot be decoded is replaced by the next of its shard that
// can, after the last one by the first, so that the replacement is a function of the data alone.
// The crop uses the random numbers of the sample that is replaced.
func (w *worker) fill(ctx context.Context, t task) error {
	order := w.loader.order
	shard, index := order.locate(t.sample)
	w.task = t
	for n, try := order.first[shard+1]-order.first[shard], 0; try < n; try++ {
		at := (index + try) % n
		if err := w.loader.source.View(ctx, shard, at, w.visit); err != nil {
			return fmt.Errorf("reading sample %d of shard %d: %w", at, shard, err)
		}
		if w.err == nil {
			return nil
		}
		if err := w.loader.bad.add(order.first[shard]+at, w.key, w.err); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: not one of shard %d", ErrBadSamples, shard)
}

// decode cuts the task's view from an image. It keeps an error of the image in w.err, because an
// error of Source.View is one of reading, for which there is no replacement.
func (w *worker) decode(key string, label int, image []byte) error {
	c, buffer := &w.loader.config, w.task.buffer
	w.key = key
	width, height, err := w.decoder.Size(image)
	if err == nil {
		stream := draw.New(c.Seed, "crop", uint64(buffer.epoch), uint64(w.task.sample))
		err = w.decoder.Cut(image, c.Crop.View(width, height, c.Size, stream), buffer.image(w.task.k))
	}
	buffer.Labels[w.task.k] = int32(label)
	w.err = err
	return nil
}
