package main

import (
	"io"
	"log/slog"
	"math"
	"strconv"
	"time"
)

// newLogger writes JSON lines, or text on a terminal, where a progress bar may stand on the line.
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

// rounded leaves a figure of a line four digits: a person reads no more of them, and a program still finds a number. One that is
// not finite is none in JSON, and becomes null as in the metrics.
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
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64) // its own text
	return slog.Float64(a.Key, v)
}

// clearLine wipes the progress bar before a log line; the bar draws itself again.
type clearLine struct{ w io.Writer }

func (c clearLine) Write(p []byte) (int, error) {
	if _, err := c.w.Write([]byte("\r\x1b[K")); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}
