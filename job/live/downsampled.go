package live

import "slices"

// downsampled is lines in order, the newest last. Beyond maxLines it keeps every second one, so
// that a run of any length takes little memory.
type downsampled[T any] struct {
	lines  []T
	stride int // one in so many of the lines added is kept, and always the newest
	added  int
}

// maxLines of a downsampled: more than a chart can show.
const maxLines = 1000

// with returns a copy with one line more. It changes nothing that a reader may hold.
func (t downsampled[T]) with(line T) downsampled[T] {
	t.stride = max(t.stride, 1)
	if n := len(t.lines); n > 0 && (t.added-1)%t.stride != 0 { // the one before was kept as the newest only
		t.lines = slices.Clip(t.lines[:n-1])
	}
	if len(t.lines) == maxLines {
		half := make([]T, 0, maxLines)
		for i := 0; i < maxLines; i += 2 {
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
func (t downsampled[T]) newest() *T {
	if len(t.lines) == 0 {
		return nil
	}
	return &t.lines[len(t.lines)-1]
}
