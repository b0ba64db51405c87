package live

import "slices"

// trail is a row of lines, the newest last. One that grows beyond what a chart can show is thinned out evenly, so that a run
// of any length takes little memory.
type trail[T any] struct {
	lines  []T
	stride int // of the lines added, one in so many stays; the newest always does
	added  int
}

// mostLines of a trail.
const mostLines = 1000

// with is the trail and one line more. It changes nothing that a reader may hold.
func (t trail[T]) with(line T) trail[T] {
	t.stride = max(t.stride, 1)
	if n := len(t.lines); n > 0 && (t.added-1)%t.stride != 0 { // the one before was here as the newest only
		t.lines = slices.Clip(t.lines[:n-1])
	}
	if len(t.lines) == mostLines {
		half := make([]T, 0, mostLines)
		for i := 0; i < mostLines; i += 2 {
			half = append(half, t.lines[i])
		}
		t.lines = half
		t.stride *= 2
	}
	t.lines = append(t.lines, line)
	t.added++
	return t
}

// newest is the last line; nil before the first.
func (t trail[T]) newest() *T {
	if len(t.lines) == 0 {
		return nil
	}
	return &t.lines[len(t.lines)-1]
}
