package storage

import (
	"context"
	"io"
	"sync"
)

const (
	readBlock  = 8 << 20
	readBlocks = 4
)

// parallelReader reads an object in blocks, each with a connection of its own and several at once, and hands them out in order: the clouds give a single
// connection a fraction of the network, and transfer, checksum and the consumer's work overlap. It takes aheadBlocks blocks of memory.
type parallelReader struct {
	first  *Reader // gives the object's size and the first block
	ctx    context.Context
	cancel context.CancelFunc
	queue  chan chan block // of the blocks in order, each to be filled once
	free   chan []byte
	ended  sync.WaitGroup

	now  block // being consumed
	rest []byte
}

// block is what was read at once; err is why it is shorter than it should be.
type block struct {
	data []byte
	err  error
}

// newParallelReader starts to read the object whose first block s is about to read. ctx is the one that s reads with; cancel ends it.
func newParallelReader(ctx context.Context, cancel context.CancelFunc, s *Reader) *parallelReader {
	a := &parallelReader{first: s, ctx: ctx, cancel: cancel, queue: make(chan chan block, readBlocks), free: make(chan []byte, readBlocks)}
	for range readBlocks {
		a.free <- nil // made when it is needed
	}
	a.ended.Go(a.enqueue)
	return a
}

// enqueue starts a fetch for each block as soon as a buffer is free.
func (a *parallelReader) enqueue() {
	defer close(a.queue)
	size := a.first.Size
	for offset := int64(0); offset < size; offset += readBlock {
		var buffer []byte
		select {
		case <-a.ctx.Done():
			return
		case buffer = <-a.free:
		}
		if buffer == nil {
			buffer = make([]byte, readBlock)
		}
		s := a.first
		if offset > 0 {
			s = a.first.part(offset, min(offset+readBlock, size))
		}
		filled := make(chan block, 1)
		a.queue <- filled // never blocks: there are as many places as buffers
		a.ended.Go(func() {
			n, err := io.ReadFull(s, buffer[:s.end-offset])
			s.disconnect()
			filled <- block{buffer[:n], err}
		})
	}
}

func (a *parallelReader) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.now.err != nil {
			return 0, a.now.err
		}
		if a.now.data != nil {
			a.free <- a.now.data[:cap(a.now.data)]
			a.now = block{}
		}
		filled, more := <-a.queue
		switch {
		case more:
			a.now = <-filled
		case a.ctx.Err() != nil:
			a.now.err = a.ctx.Err()
		default:
			a.now.err = io.EOF
		}
		a.rest = a.now.data
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// Close cancels the reads that are under way.
func (a *parallelReader) Close() error {
	a.cancel()
	a.ended.Wait()
	return a.first.Close()
}
