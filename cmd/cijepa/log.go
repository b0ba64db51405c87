package main

import (
	"io"
	"log/slog"
	"math"
	"strconv"
	"time"
)

// newLogger writes JSON lines or, on a terminal, text around a progress bar.
func newLogger(w io.Writer, terminal bool) *slog.Logger {
	if !terminal {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: rounded}))
	}
	short := func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.String(slog.TimeKey, a.Value.Time().Format(time.TimeOnly))
		}
		return rounded(groups, a)
	}
	return slog.New(slog.NewTextHandler(clearLine{w}, &slog.HandlerOptions{ReplaceAttr: short}))
}

// rounded rounds a number to four significant digits. NaN and infinities, which JSON cannot hold,
// become null.
func rounded(_ []string, a slog.Attr) slog.Attr {
	v, ok := a.Value.Any().(float64)
	if p, may := a.Value.Any().(*float64); may && p != nil {
		v, ok = *p, true
	}
	switch {
	case !ok:
		return a
	case math.IsNaN(v) || math.IsInf(v, 0):
		return slog.Any(a.Key, nil)
	}
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64) // cannot fail on its own text
	return slog.Float64(a.Key, v)
}

// clearLine erases the progress bar before a log line. The bar draws itself again.
type clearLine struct{ w io.Writer }

func (c clearLine) Write(p []byte) (int, error) {
	if _, err := c.w.Write([]byte("\r\x1b[K")); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}
