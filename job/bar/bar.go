// Package bar shows on a terminal how far something is, in one line that is drawn again and again.
// It knows nothing of what is counted. schollz/progressbar, which most programs take, fixes its
// fields when a bar is made; a window is resized, and a line that is too long scrolls.
//
//	bar.go  Bar
package bar

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

const (
	pause  = 100 * time.Millisecond // between two drawings
	wide   = 100                    // columns that have room for all fields
	narrow = 60                     // columns that have room for a bar
	most   = 40                     // cells of a bar
)

// Bar is the line of one phase. A nil *Bar shows nothing. Its methods are for one goroutine.
type Bar struct {
	Format func(int64) string // how counts are written; nil: as numbers

	w           io.Writer
	columns     func() int
	now         func() time.Time
	name        string
	from, total int64
	begun       time.Time
	drawn       time.Time // zero: not yet
}

// New begins a phase of total units, of which done are there already. Of a writer that is no
// terminal it takes 80 columns; a nil writer makes a nil *Bar.
func New(w io.Writer, name string, done, total int64) *Bar {
	if w == nil {
		return nil
	}
	return &Bar{w: w, columns: func() int { return terminalColumns(w) }, now: time.Now, name: name, from: done, total: total, begun: time.Now()}
}

// terminalColumns is the width of a terminal as it is now.
func terminalColumns(w io.Writer) int {
	if file, ok := w.(interface{ Fd() uintptr }); ok {
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 80
}

// Update draws the line ten times a second at most, and at the end. In a wide terminal the fields
// stand at its end; they are asked for only then.
func (b *Bar) Update(done int64, fields func() []string) {
	if b == nil {
		return
	}
	now := b.now()
	if now.Sub(b.drawn) < pause && done != b.total {
		return
	}
	b.drawn = now
	_, _ = io.WriteString(b.w, "\r\x1b[K"+b.line(b.columns(), done, now, fields)) // it fails where the terminal is gone
}

// End takes the line away.
func (b *Bar) End() {
	if b != nil && !b.drawn.IsZero() {
		_, _ = io.WriteString(b.w, "\r\x1b[K")
	}
}

// line is the line for a number of columns. It leaves the last column free, where some terminals
// wrap.
func (b *Bar) line(columns int, done int64, now time.Time, fields func() []string) string {
	share := 1.
	if b.total > 0 {
		share = min(max(float64(done)/float64(b.total), 0), 1)
	}
	percent, left := fmt.Sprintf("%3.0f%%", 100*share), b.left(done, now)
	words := []string{percent, left}
	if columns >= narrow {
		format := b.Format
		if format == nil {
			format = func(n int64) string { return strconv.FormatInt(n, 10) }
		}
		words = []string{b.name, percent, "", format(done) + "/" + format(b.total)}
		if columns >= wide && fields != nil {
			words = append(words, fields()...)
		}
		words = append(words, left)
		room := columns - 1 - utf8.RuneCountInString(strings.Join(words, "  "))
		words[2] = strings.Repeat("█", int(share*float64(min(room, most))+0.5))
		if room > 0 {
			words[2] += strings.Repeat("░", min(room, most)-utf8.RuneCountInString(words[2]))
		}
	}
	line := []rune(strings.Join(words, "  "))
	return string(line[:min(len(line), max(columns-1, 0))])
}

// left is the time that the rest takes at the mean pace so far.
func (b *Bar) left(done int64, now time.Time) string {
	if done <= b.from {
		return "-- left"
	}
	seconds := now.Sub(b.begun).Seconds() / float64(done-b.from) * float64(b.total-done)
	return time.Duration(seconds*float64(time.Second)).Round(time.Second).String() + " left"
}
