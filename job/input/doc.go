// Package input turns the samples of a data set into the batches that a device trains on, ahead of
// their use. It decides the order of an epoch, has worker goroutines decode the images, and
// replaces those that cannot be decoded.
//
// It knows no bucket, no graph and no environment: samples come through the interface Source, and a
// batch is plain bytes of a fixed shape. A batch is a function of (seed, step) alone, so that a run
// resumes at any step on the same bytes, with any number of workers.
//
// Files in reading order:
//
//	source.go      Source, which a cache of shards implements
//	config.go      Config and its checks
//	loader.go      Loader: the batches of one split, and the flow of their buffers
//	plan.go        the planner goroutine: buffers, tasks, and the shards announced to the source
//	order.go       the order of shards and samples in an epoch
//	inflight.go    the counter that separates two windows of shards
//	worker.go      a worker goroutine: one image of one batch at a time, by package pixels
//	batch.go       Batch and the buffer that it lives in
//	samples.go     single samples by number
//	share.go       Share: a part of a split, the same number of every class
//	badsamples.go  the samples that cannot be decoded, and their limit
package input
