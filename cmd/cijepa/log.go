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
	"unicode/utf8"

	"golang.org/x/term"
	"k8s.io/klog/v2"

	"github.com/cijepa/cijepa/job/record"
)

// newLogger writes JSON lines, or text. On a terminal the text goes around a progress bar.
func newLogger(w io.Writer, asJSON, onTerminal bool) *slog.Logger {
	if asJSON {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: rounded}))
	}
	short := func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.String(slog.TimeKey, a.Value.Time().Format(time.TimeOnly))
		}
		return rounded(groups, a)
	}
	if onTerminal {
		w = terminal{w}
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
func logEnd(w io.Writer, asJSON, onTerminal bool, log *slog.Logger, err error, code int) {
	stopped := code == exitStopped // no error
	switch {
	case code == exitDone:
	case asJSON && stopped:
		log.Warn("ended", "why", err.Error(), "exit", code)
	case asJSON:
		log.Error("ended", "error", err.Error(), "exit", code)
	default:
		if onTerminal {
			w = terminal{w}
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

// terminal is where people read: it erases the progress bar, which draws itself again, and breaks
// the lines that are too long.
type terminal struct{ w io.Writer }

func (t terminal) Write(p []byte) (int, error) {
	if _, err := io.WriteString(t.w, "\r\x1b[K"+broken(string(p), columnsOf(t.w))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// columnsOf is the width of a terminal; 0 for any other writer.
func columnsOf(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok {
		return 0
	}
	columns, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// broken breaks the lines of a text that are too long for so many columns, of which it leaves the
// last one free: behind each clause that ends with a semicolon, and between words. 0 breaks none.
func broken(text string, columns int) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); columns == 0 || utf8.RuneCountInString(line) < columns {
			fmt.Fprintln(&out, line)
			continue
		}
		content := strings.TrimLeft(line, " ")
		indent := strings.Repeat(" ", len(line)-len(content))
		at, between := 0, indent // columns that are written; what stands before the next word
		for word := range strings.SplitSeq(content, " ") {
			width := utf8.RuneCountInString(word)
			if between == " " && at+1+width >= columns {
				between = "\n" + indent + "    "
			}
			if between != " " {
				at = 0
			}
			at += len(strings.TrimPrefix(between, "\n")) + width
			out.WriteString(between + word)
			between = " "
			if strings.HasSuffix(word, ";") {
				between = "\n" + indent + "  "
			}
		}
		fmt.Fprintln(&out)
	}
	return out.String()
}
