package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cijepa/cijepa/job/settings"
)

// TestLogHasNumbers: a program that reads the lines of a log finds a number in every figure, and a
// person no more digits than the figure is good for.
func TestLogHasNumbers(t *testing.T) {
	t.Parallel()
	c, log := start(t, newBucket(t))
	if code := wait(t, c); code != exitDone {
		t.Fatalf("exit %d\n%s", code, log)
	}
	figures := map[string]int{}
	for text := range strings.Lines(log.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		for name, v := range line {
			switch v := v.(type) {
			case string:
				if _, err := strconv.ParseFloat(v, 64); err == nil {
					t.Errorf("%s is a string in %s", name, text)
				}
			case float64:
				figures[name]++
				if digits := strings.Trim(strings.ReplaceAll(strconv.FormatFloat(v, 'f', -1, 64), ".", ""), "0"); v != math.Trunc(v) && len(digits) > 4 {
					t.Errorf("%s has %d digits in %s", name, len(digits), text)
				}
			}
		}
	}
	for _, name := range []string{"loss", "lr", "images_per_second", "data_wait", "top1", "knn_top1", "feature_std", "seconds", "pause"} {
		if figures[name] == 0 {
			t.Errorf("no number %q in the log", name)
		}
	}
}

// TestFiguresOfALine: figures as they come, in both forms of the log.
func TestFiguresOfALine(t *testing.T) {
	third := 1. / 3
	var none *float64
	var text bytes.Buffer
	for _, asJSON := range []bool{true, false} {
		newLogger(&text, asJSON, !asJSON).Info("m", "a", 277.654321, "b", &third, "c", none, "d", math.NaN(), "e", 1234567.0, "f", 0.000038291, "g", int64(1234567), slog.Group("h", "i", 2./3))
	}
	for _, want := range []string{
		`"a":277.7,"b":0.3333,"c":null,"d":null,"e":1235000,"f":0.00003829,"g":1234567,"h":{"i":0.6667}`,
		`a=277.7 b=0.3333 c=<nil> d=<nil> e=1.235e+06 f=3.829e-05 g=1234567 h.i=0.6667`,
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %s in\n%s", want, &text)
		}
	}
}

// TestLongLinesAreBroken: behind semicolons and between words, with the indent of the line; lines
// that fit stay as they are.
func TestLongLinesAreBroken(t *testing.T) {
	for _, c := range []struct {
		columns      int
		given, shown string
	}{
		{0, "no terminal; however long\n", "no terminal; however long\n"},
		{13, "it fits; whole\n", "it fits;\n  whole\n"},
		{15, "it fits; whole\n", "it fits; whole\n"},
		{14, "first clause goes on; second\n  a line; in\n  a table of words\n", "first clause\n    goes on;\n  second\n  a line; in\n  a table of\n      words\n"},
		{6, "a-word-too-wide ü\n", "a-word-too-wide\n    ü\n"},
	} {
		if shown := broken(c.given, c.columns); shown != c.shown {
			t.Errorf("in %d columns %q is\n%q, want\n%q", c.columns, c.given, shown, c.shown)
		}
	}
}

// TestAStopIsNoError: a run that ends as it was told to, by a cluster or by hand, says so in a
// warning.
func TestAStopIsNoError(t *testing.T) {
	t.Parallel()
	for _, told := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		c, log := start(t, newBucket(t), "CIJEPA_EPOCHS=1000")
		waitFor(t, log, `"msg":"step"`)
		if err := c.Process.Signal(told); err != nil {
			t.Fatal(err)
		}
		code := wait(t, c)
		if want := `"level":"WARN","msg":"ended","why":"stopped before the end; start the same run again to go on","exit":143`; code != exitStopped || !strings.Contains(log.String(), want) {
			t.Errorf("after %v: exit %d, no %s in\n%s", told, code, want, log)
		}
	}
}

// TestDemonstrationSaysWhatComesNext: after the figures, the command that shows them.
func TestDemonstrationSaysWhatComesNext(t *testing.T) {
	t.Parallel()
	bucket := newBucket(t)
	finish(t, bucket)
	var out bytes.Buffer
	if err := summarise(t.Context(), settings.Config{Bucket: bucket, Run: "tiny"}, &out, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out.String(), "cijepa report '"+bucket+"'\n") {
		t.Errorf("it ends with\n%s", &out)
	}
}
