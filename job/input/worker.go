package input

import (
	"context"
	"fmt"

	"github.com/cijepa/cijepa/job/input/pixels"
	"github.com/cijepa/cijepa/model/draw"
)

// task is one image to be made: sample goes to place k of the slot.
type task struct {
	slot   *slot
	k      int
	sample int
}

// worker fills places of batches, one image at a time. It serves one goroutine.
type worker struct {
	loader  *Loader
	decoder *pixels.Decoder
	visit   func(key string, label int, image []byte) error // w.look; bound once, so that an image costs no closure

	// What passes between fill and look.
	task  task
	key   string
	fault error // why the image cannot be decoded
}

func newWorker(l *Loader) *worker {
	w := &worker{loader: l, decoder: pixels.NewDecoder()}
	w.visit = w.look
	return w
}

func (w *worker) close() { w.decoder.Close() }

// fill makes an image. If the sample cannot be decoded, the next one of its shard takes its place, and so on, the last being
// followed by the first: always the same neighbour, cut by the sample's own random numbers.
func (w *worker) fill(ctx context.Context, t task) error {
	order := w.loader.order
	shard, place := order.locate(t.sample)
	w.task = t
	for n, try := order.first[shard+1]-order.first[shard], 0; try < n; try++ {
		at := (place + try) % n
		if err := w.loader.source.View(ctx, shard, at, w.visit); err != nil {
			return fmt.Errorf("reading sample %d of shard %d: %w", at, shard, err)
		}
		if w.fault == nil {
			return nil
		}
		if err := w.loader.bad.add(order.first[shard]+at, w.key, w.fault); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: not one of shard %d", ErrBadSamples, shard)
}

// look cuts the task's view from an image. What is wrong with the image is kept in w.fault: errors that come out of
// Source.View are errors of reading, which nothing can replace.
func (w *worker) look(key string, label int, image []byte) error {
	c, slot := &w.loader.config, w.task.slot
	w.key = key
	width, height, err := w.decoder.Size(image)
	if err == nil {
		stream := draw.New(c.Seed, "crop", uint64(slot.epoch), uint64(w.task.sample))
		err = w.decoder.Cut(image, c.Crop.View(width, height, c.Size, stream), slot.image(w.task.k))
	}
	slot.Labels[w.task.k] = int32(label)
	w.fault = err
	return nil
}
