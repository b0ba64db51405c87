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

// parallelReader reads an object in blocks of readBlock bytes, several at once over a connection
// each, and returns them in order. The clouds give a single connection a fraction of the network;
// and transfer, checksum and the consumer's work overlap. It takes readBlocks blocks of memory.
type parallelReader struct {
	first  *Reader // of the first block; it knows the object's size
	ctx    context.Context
	cancel context.CancelFunc
	queue  chan chan block // of the blocks in order, each to be filled once
	free   chan []byte
	ended  sync.WaitGroup

	current block
	rest    []byte // of current, not yet consumed
}

// block is one block as it was read; err is why it is shorter than it should be.
type block struct {
	data []byte
	err  error
}

// newParallelReader starts to read the object whose first block the given reader is open for. ctx
// is that reader's; cancel ends it.
func newParallelReader(ctx context.Context, cancel context.CancelFunc, first *Reader) *parallelReader {
	p := &parallelReader{
		first: first, ctx: ctx, cancel: cancel,
		queue: make(chan chan block, readBlocks), free: make(chan []byte, readBlocks),
	}
	for range readBlocks {
		p.free <- nil // allocated when it is needed
	}
	p.ended.Go(p.enqueue)
	return p
}

// enqueue starts to read each block as soon as a buffer is free.
func (p *parallelReader) enqueue() {
	defer close(p.queue)
	size := p.first.size
	for offset := int64(0); offset < size; offset += readBlock {
		var buffer []byte
		select {
		case <-p.ctx.Done():
			return
		case buffer = <-p.free:
		}
		if buffer == nil {
			buffer = make([]byte, readBlock)
		}
		r := p.first
		if offset > 0 {
			r = p.first.openRange(offset, min(offset+readBlock, size))
		}
		filled := make(chan block, 1)
		p.queue <- filled // never blocks: the queue holds as many blocks as there are buffers
		p.ended.Go(func() {
			n, err := io.ReadFull(r, buffer[:r.end-offset])
			r.disconnect()
			filled <- block{buffer[:n], err}
		})
	}
}

func (p *parallelReader) Read(into []byte) (int, error) {
	for len(p.rest) == 0 {
		if p.current.err != nil {
			return 0, p.current.err
		}
		if p.current.data != nil {
			p.free <- p.current.data[:cap(p.current.data)]
			p.current = block{}
		}
		filled, more := <-p.queue
		switch {
		case more:
			p.current = <-filled
		case p.ctx.Err() != nil:
			p.current.err = p.ctx.Err()
		default:
			p.current.err = io.EOF
		}
		p.rest = p.current.data
	}
	n := copy(into, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// Close cancels the reads under way and waits for their goroutines.
func (p *parallelReader) Close() error {
	p.cancel()
	p.ended.Wait()
	return p.first.Close()
}
