// Package storagetest is for tests of whatever stands on a bucket: a store in memory that checks
// the rules of the bucket and fails on demand, real servers, and proxies that spoil what goes to
// them and comes back. It also opens buckets for tests, always through storage.Open. No production
// code imports it.
//
// # Files
//
//	bucket.go      Open, Wrap, Memory, EachKind: buckets that are closed when a test ends
//	objects.go     what tests do with objects: put, read, compare
//	store.go       Store: the store in memory, as gocloud.dev's driver
//	fault.go       Fault: what a call to a Store can meet
//	rules.go       the rules of the bucket, which a Store checks
//	server.go      Server: versitygw, fake-gcs-server, Azurite
//	proxy.go       Proxy: spoils chosen HTTP requests
//	toxiproxy.go   Toxiproxy: a bad network
//	disk_linux.go  MountSmall: a disk that gets full
package storagetest
