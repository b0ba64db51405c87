package input

import (
	"context"
	"fmt"
)

// Samples makes the images [n, Size, Size, 3] of single samples, by their numbers in the source,
// and their labels. An image is the one that Batches makes of the sample in the first epoch.
func (l *Loader) Samples(ctx context.Context, numbers []int) (images []byte, labels []int32, err error) {
	var shards []int
	for _, n := range numbers {
		if n < 0 || n >= l.order.total() {
			return nil, nil, fmt.Errorf("there is no sample %d: the split has %d", n, l.order.total())
		}
		shard, _ := l.order.locate(n)
		shards = append(shards, shard)
	}
	l.source.Ahead(shards)
	defer l.source.Ahead(nil)
	c := l.config
	c.Batch = len(numbers)
	buffer := newBatchBuffer(c)
	w := newWorker(l)
	defer w.close()
	for k, n := range numbers {
		if err := w.fill(ctx, task{buffer, k, n}); err != nil {
			return nil, nil, err
		}
	}
	return buffer.Images, buffer.Labels, nil
}
