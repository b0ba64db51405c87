// Package machine opens what a run needs of the machine and of storage, for the run itself and for
// cijepa check, so that both report the same error. Any error that is not denied access, damaged
// data or an unreachable server is a fault of the settings (*settings.Error). It knows no phase of
// a run.
//
//	bucket.go        the buckets
//	dataset.go       the data, and whether both phases can use it
//	cache.go         the shard cache on the local disk
//	device.go        the device, and errors of it
//	card.go          the GPU, as nvidia-smi describes it
//	memory.go        the memory of the host
//	microbatch.go    the largest micro-batch that fits into the device's memory
//	programstore.go  compiled programs, on this machine and with the run
//	prefetch.go      batches copied to the device ahead of their steps
//	versions.go      what computes a run: versions, driver, vector unit, host
package machine
