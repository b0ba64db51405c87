// Package storagetest tests what stands on a bucket: a store in memory that keeps the rules of the bucket and fails on demand, an HTTP proxy that
// spoils chosen requests, and real servers. It does not import package storage, so that the tests inside that package can use it.
package storagetest
