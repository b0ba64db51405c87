package input

import (
	"context"
	"sync/atomic"
)

// underway counts the images that were handed to workers and are not done.
type underway struct {
	images atomic.Int64
	none   chan struct{} // has room for one
}

func (u *underway) begin() { u.images.Add(1) }

func (u *underway) end() {
	if u.images.Add(-1) == 0 {
		select {
		case u.none <- struct{}{}:
		default:
		}
	}
}

// settle waits until there are none, and says whether that came before the end of the context.
func (u *underway) settle(ctx context.Context) bool {
	for u.images.Load() > 0 {
		select {
		case <-u.none:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
