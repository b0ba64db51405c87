package input

import (
	"context"
	"sync/atomic"
)

// inFlight counts the images that were given to workers and are not done.
type inFlight struct {
	images atomic.Int64
	zero   chan struct{} // receives a value when images reaches 0; has room for one
}

func newInFlight() *inFlight { return &inFlight{zero: make(chan struct{}, 1)} }

func (f *inFlight) add() { f.images.Add(1) }

func (f *inFlight) done() {
	if f.images.Add(-1) == 0 {
		select {
		case f.zero <- struct{}{}:
		default:
		}
	}
}

// wait returns true once no image is in flight, false if the context ends first. Only the goroutine
// that calls add may call it.
func (f *inFlight) wait(ctx context.Context) bool {
	for f.images.Load() > 0 {
		select {
		case <-f.zero:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
