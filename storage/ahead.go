package storage

import (
	"context"
	"io"
	"sync"
)

const (
	aheadBlock  = 1 << 20
	aheadBlocks = 4
)

// ahead reads in a goroutine of its own, at most aheadBlocks MiB in advance, so that transfer, checksum and the consumer's work overlap.
type ahead struct {
	r      io.ReadCloser
	filled chan block
	free   chan []byte
	ctx    context.Context // of r
	cancel context.CancelFunc
	ended  sync.WaitGroup

	now  block // being consumed
	rest []byte
}

// block is what was read at once; err is what came after its bytes.
type block struct {
	data []byte
	err  error
}

// newAhead starts to read r, which it closes. ctx is the one that r reads with; cancel ends it.
func newAhead(ctx context.Context, cancel context.CancelFunc, r io.ReadCloser) *ahead {
	a := &ahead{r: r, filled: make(chan block, aheadBlocks), free: make(chan []byte, aheadBlocks), ctx: ctx, cancel: cancel}
	for range aheadBlocks {
		a.free <- nil // made when it is needed: most objects are small
	}
	a.ended.Go(a.fill)
	return a
}

func (a *ahead) fill() {
	for {
		select {
		case <-a.ctx.Done():
			a.filled <- block{err: a.ctx.Err()}
			return
		case buffer := <-a.free:
			if buffer == nil {
				buffer = make([]byte, aheadBlock)
			}
			n, err := io.ReadFull(a.r, buffer)
			if err == io.ErrUnexpectedEOF {
				err = io.EOF // of ReadFull; a stream that is cut says so in other words
			}
			a.filled <- block{buffer[:n], err} // never blocks: there are as many places as buffers
			if err != nil {
				return
			}
		}
	}
}

func (a *ahead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.now.err != nil {
			return 0, a.now.err
		}
		if a.now.data != nil {
			a.free <- a.now.data[:cap(a.now.data)]
		}
		a.now = <-a.filled
		a.rest = a.now.data
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// Close cancels the read that is under way.
func (a *ahead) Close() error {
	a.cancel()
	a.ended.Wait()
	return a.r.Close()
}
