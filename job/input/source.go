package input

import "context"

// Source is one split of a data set, in shards of samples. A cache of shards implements it.
type Source interface {
	// Samples returns the number of samples of every shard. It never changes.
	Samples() []int

	// Ahead announces the shards that will be used next, in this order; a shard that is used again
	// appears again. Every call replaces the announcement before it. It must not wait for a shard.
	Ahead(shards []int)

	// View calls f with the key, the label and the encoded image of a sample, once its shard can be
	// read. The image is valid during f only and f does not write to it.
	//
	// An error of f is returned as it is. Any other error means that the sample cannot be read,
	// after the source's own retries, and ends the iteration. Calls may be concurrent.
	View(ctx context.Context, shard, sample int, f func(key string, label int, image []byte) error) error
}
