package main

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"github.com/cijepa/cijepa/job/record"
)

// newLogger writes JSON lines, or text. On a terminal the text goes around a progress bar.
func newLogger(w io.Writer, asJSON, terminal bool) *slog.Logger {
	if asJSON {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: rounded}))
	}
	short := func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.String(slog.TimeKey, a.Value.Time().Format(time.TimeOnly))
		}
		return rounded(groups, a)
	}
	if terminal {
		w = clearLine{w}
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: short}))
}

// logLibraries makes lines of the log of what libraries say in ways of their own: through package
// log, through klog and, as GoMLX's Go backend, by printing.
func logLibraries(log *slog.Logger) {
	slog.SetDefault(log)
	klog.SetSlogLogger(log)
	printed, err := logPrinted(log)
	if err != nil {
		printed = os.Stderr
	}
	os.Stdout = printed
}

// parallelism begins the one line that GoMLX's Go backend prints, which repeats CIJEPA_BACKEND.
const parallelism = "Go backend: parallelism set to "

// logPrinted returns a file each of whose lines becomes a line of the log, until the end of the
// process.
func logPrinted(log *slog.Logger) (*os.File, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		for lines := bufio.NewReader(read); ; {
			line, err := lines.ReadString('\n')
			if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, parallelism) {
				log.Info("a library prints", "text", text)
			}
			if err != nil {
				return
			}
		}
	}()
	return write, nil
}

// logEnd writes how a command ended: a line of the log or, where people read, plain words.
func logEnd(w io.Writer, asJSON, terminal bool, log *slog.Logger, err error, code int) {
	stopped := code == exitStopped // no error
	switch {
	case code == exitDone:
	case asJSON && stopped:
		log.Warn("ended", "why", err.Error(), "exit", code)
	case asJSON:
		log.Error("ended", "error", err.Error(), "exit", code)
	default:
		if terminal {
			w = clearLine{w}
		}
		lines := strings.Split(err.Error(), "\n") // printable each: they hold names of a bucket
		for i := range lines {
			lines[i] = record.Printable(lines[i])
		}
		text := strings.Join(lines, "\n")
		if !stopped {
			text = "Error: " + text
		}
		fmt.Fprintln(w, text)
	}
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
	if _, err := io.WriteString(c.w, "\r\x1b[K"+string(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}
