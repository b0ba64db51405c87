package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// openTerminal opens a pseudo-terminal of so many columns: our side, and the program's.
func openTerminal(t *testing.T, columns int) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	number, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(ours.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(columns)})
	}
	if err != nil {
		t.Fatal(err)
	}
	theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

// onTerminal runs the program with its standard error on a terminal, and returns what shows there.
func onTerminal(t *testing.T, columns int, settings []string, args ...string) (code int, shown string) {
	t.Helper()
	ours, theirs := openTerminal(t, columns)
	c := exec.Command(os.Args[0], args...)
	c.Dir, c.Env, c.Stderr = t.TempDir(), append([]string{asProgram + "=1", "HOME=" + t.TempDir()}, settings...), theirs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	all := make(chan string)
	go func() {
		text, _ := io.ReadAll(ours) // ends with an error when the program has ended
		all <- string(text)
	}()
	code = wait(t, c)
	return code, strings.ReplaceAll(<-all, "\r\n", "\n")
}

// TestErrorsOnATerminalArePlain: no quotes, no escapes, no JSON; but JSON where it is asked for.
func TestErrorsOnATerminalArePlain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		settings []string
		args     []string
		want     string
	}{
		{nil, []string{"chek"}, "\r\x1b[KError: there is no command \"chek\"; did you mean check?\n"},
		{[]string{"CIJEPA_BUCKET=mem://", "CIJEPA_EPOCHS=x", "CIJEPA_SEED=-1"}, nil,
			"\r\x1b[KError: 2 settings cannot work:\n  CIJEPA_SEED=\"-1\": a whole number, 0 or more\n  CIJEPA_EPOCHS=\"x\": a whole number\n"},
		{[]string{"CIJEPA_BUCKET=mem://", "CIJEPA_RUN=a\x1b[2Jb"}, nil,
			"\r\x1b[KError: 1 setting cannot work:\n  CIJEPA_RUN=a\\x1b[2Jb: letters, digits, dots, dashes and underscores, 100 at\n      most\n"},
		{[]string{"CIJEPA_LOG=json"}, []string{"chek"}, `"level":"ERROR","msg":"ended","error":"there is no command \"chek\"; did you mean check?","exit":64}` + "\n"},
	} {
		if code, shown := onTerminal(t, 80, c.settings, c.args...); code != exitSettings || !strings.HasSuffix(shown, c.want) || strings.Contains(shown, "msg=") {
			t.Errorf("exit %d, %q, want %q", code, shown, c.want)
		}
	}
	if _, _, log := typed(t, []string{"CIJEPA_LOG=text"}, "chek"); log != "Error: there is no command \"chek\"; did you mean check?\n" {
		t.Errorf("text without a terminal: %q", log)
	}
}

// TestLongErrorsAreBrokenBetweenWords: at a terminal, a message that is wider than it has a line
// for each clause, and no word is cut; a program reads one line of JSON.
func TestLongErrorsAreBrokenBetweenWords(t *testing.T) {
	t.Parallel()
	images := t.TempDir()
	for _, name := range []string{"train/cat/1.jpg", "train/dog/2.jpg", "val/1.jpg", "val/2.jpg"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(images, name)), 0o777), os.WriteFile(filepath.Join(images, name), []byte(name), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	command := []string{"pack", "-data", "d", images, "mem://"}
	for _, columns := range []int{60, 100} {
		code, shown := onTerminal(t, columns, nil, command...)
		shown = strings.ReplaceAll(shown, "\r\x1b[K", "")
		lines := strings.Split(strings.TrimSuffix(shown, "\n"), "\n")
		if code != exitSettings || len(lines) < 4 || lines[len(lines)-1] != "  -allow-unlabelled 2 leaves them out" || !strings.Contains(shown, ";\n  give each class a folder, or,") {
			t.Errorf("in %d columns: exit %d,\n%s", columns, code, shown)
		}
		for _, line := range lines {
			if n := utf8.RuneCountInString(line); n >= columns {
				t.Errorf("%d characters in %d columns: %s", n, columns, line)
			}
		}
		_, whole := onTerminal(t, columns, []string{"CIJEPA_LOG=json"}, command...)
		for _, word := range strings.Fields(strings.TrimPrefix(shown, "Error: ")) {
			if !strings.Contains(whole, word) {
				t.Errorf("in %d columns: the word %q is none of\n%s", columns, word, whole)
			}
		}
		if strings.Count(whole, "\n") != 1 {
			t.Errorf("more than one line of JSON:\n%s", whole)
		}
	}
}

// TestProgressFitsTheTerminal: a line of progress never wraps, so that it can be drawn over, at the
// widths that people have.
func TestProgressFitsTheTerminal(t *testing.T) {
	t.Parallel()
	bucket := newBucket(t)
	images := filepath.Join(strings.TrimPrefix(bucket, "file://"), "tiny")
	drawing := regexp.MustCompile(`\r\x1b\[K([^\r\n]*%[^\r\n]* left)`)
	for _, columns := range []int{40, 80, 200} {
		for what, command := range map[string][]string{
			"pack": {"pack", "-data", fmt.Sprintf("again-%d", columns), images, bucket}, "run": nil,
		} {
			if what == "run" && !slowAsked() {
				continue
			}
			run := append([]string{"CIJEPA_BUCKET=" + bucket}, tinyRun...)
			run = append(run, fmt.Sprintf("CIJEPA_RUN=at-%d", columns), "CIJEPA_EPOCHS=1")
			code, shown := onTerminal(t, columns, run, command...)
			drawn := drawing.FindAllStringSubmatch(shown, -1)
			if code != exitDone || len(drawn) == 0 {
				t.Fatalf("%s in %d columns: exit %d\n%s", what, columns, code, shown)
			}
			for _, d := range drawn {
				if n := utf8.RuneCountInString(d[1]); n >= columns || strings.Contains(d[1], "images/s") != (columns >= 100) && !strings.Contains(d[1], "-- left") {
					t.Errorf("%s in %d columns: %d characters: %s", what, columns, n, d[1])
				}
			}
		}
	}
}
