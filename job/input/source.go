package input

import "context"

// Source is one split of a data set, cut into shards of samples. It belongs to this package; a cache of shards implements it.
type Source interface {
	// Samples returns the number of samples of every shard. It never changes.
	Samples() []int

	// Ahead tells the shards that will be used next, in this order, a shard that is used again appearing again. Every
	// call replaces what the call before it told. It must not wait for a shard.
	Ahead(shards []int)

	// View calls f with the key, the label and the encoded image of a sample, waiting until its shard can be read. The
	// image is valid during f only and is not written to. An error of f comes back as it is; any other error means that
	// the sample cannot be read, after whatever retries the source makes, and ends the iteration. Calls may be concurrent.
	View(ctx context.Context, shard, sample int, f func(key string, label int, image []byte) error) error
}
