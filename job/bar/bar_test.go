package bar

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// at is a bar of a phase that begins now, with a clock of the test's and so many columns.
func at(columns *int, clock *time.Time) (*Bar, *bytes.Buffer) {
	var drawn bytes.Buffer
	b := New(&drawn, "pretrain", 100, 1100)
	b.columns, b.now, b.begun = func() int { return *columns }, func() time.Time { return *clock }, *clock
	return b, &drawn
}

// fields are those of a training step.
func fields() []string { return []string{"loss 0.5123", "233 images/s", "wait 1.2%"} }

// TestLineFitsTheTerminal at every width, and says what there is room for.
func TestLineFitsTheTerminal(t *testing.T) {
	columns, clock := 0, time.Unix(0, 0)
	b, _ := at(&columns, &clock)
	clock = clock.Add(25 * time.Second)
	for columns = range 250 {
		line := b.line(columns, 350, clock, fields)
		if n := utf8.RuneCountInString(line); n > max(columns-1, 0) {
			t.Fatalf("%d columns: %d characters: %s", columns, n, line)
		}
		if columns < 40 {
			continue
		}
		for text, from := range map[string]int{" 32%": 0, "1m15s left": 0, "pretrain": 60, "350/1100": 60, "██░░": 60, "loss 0.5123": 100, "wait 1.2%": 100} {
			if has := strings.Contains(line, text); has != (columns >= from) {
				t.Errorf("%d columns: %q is there: %v: %s", columns, text, has, line)
			}
		}
	}
}

// TestAtMostTenDrawingsASecond, each over the one before, and the last one always.
func TestAtMostTenDrawingsASecond(t *testing.T) {
	columns, clock := 80, time.Unix(100, 0)
	b, drawn := at(&columns, &clock)
	for done := range int64(1000) {
		clock = clock.Add(2 * time.Millisecond)
		b.Update(101+done, nil)
	}
	if n := strings.Count(drawn.String(), "\r\x1b[K"); n < 15 || n > 21 || strings.Contains(drawn.String(), "\n") {
		t.Errorf("%d drawings in two seconds: %q", n, drawn)
	}
	if last := drawn.String()[strings.LastIndex(drawn.String(), "\r"):]; !strings.Contains(last, "100%") || !strings.Contains(last, "1100/1100  0s left") {
		t.Errorf("the last one is %q", last)
	}
	if b.End(); !strings.HasSuffix(drawn.String(), "0s left\r\x1b[K") {
		t.Error("the line stays")
	}
}

// TestNothingIsDrawnWithoutATerminal, nor divided by what is 0.
func TestNothingIsDrawnWithoutATerminal(t *testing.T) {
	b := New(nil, "pack", 0, 0)
	b.Update(1, nil)
	b.End()
	columns, clock := 80, time.Unix(0, 0)
	b, _ = at(&columns, &clock)
	b.total = 0
	if line := b.line(80, 0, clock, nil); !strings.Contains(line, "100%") || !strings.Contains(line, "-- left") {
		t.Error(line)
	}
}
