// Package shards reads a packed dataset: its index, its shards in a bucket, and a cache of them on
// the local disk. Package storage/pack makes datasets. A shard is a WebDataset tar file, and its
// index says where every image lies in it. The package knows images as bytes and decodes none.
//
// The cache fetches shards in the order in which they will be used. At its limit it evicts the
// shard with the latest next use. Every shard is checked against its SHA-256 before its first use
// in a process.
//
// # Files
//
//	index.go      Index, Shard, Samples: the format of index.json
//	dataset.go    Dataset: an index and where its shards are
//	cache.go      Cache: limit, states of shards, waiting for one
//	split.go      Split: what a reader of samples sees of a cache
//	fetch.go      which shard is fetched next, and how: opened, found, downloaded, resumed
//	evict.go      which shards are evicted for another
//	shardfile.go  a shard's file: checked, locked against other processes, read
package shards
