package report

import (
	"bytes"
	"encoding/csv"
	"strconv"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/history/historytest"
	"github.com/cijepa/cijepa/job/record"
)

// TestTextsOfABucketStayTexts: in no file of a report is a name, a setting or an alarm a formula, a
// link, an element or a line of its own.
func TestTextsOfABucketStayTexts(t *testing.T) {
	f := historytest.New(t)
	evil := []string{
		"=cmd|' /C calc'!A0", "+1+cmd", "-1+cmd", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "<img src=x onerror=alert(1)>", "[a](javascript:alert(1))",
		"![a](http://x/y)", "`a`", "a|b", "a\n# b", "\x1b[2J", "*a*", "a\u202eb", "-", "-0.5",
	}
	for i, text := range evil {
		r := historytest.Record(text, i)
		r.Recipe["Data"], r.Recipe[text] = text, 1
		name := strings.Map(func(r rune) rune {
			if r == '/' {
				return ':'
			}
			return r
		}, text)
		f.PutRecord("runs/"+name+"/run.json", r)
		historytest.PutLines(f, "runs/"+name+"/metrics/alarms-a-1-000001.jsonl", record.Alarm{Step: 5, Alarm: text, Text: text})
	}
	for seed, name := range []string{"=1", "<img>"} {
		f.PutAnswered(name, name, seed, []bool{true, false})
		evil = append(evil, name)
	}
	r, err := Read(t.Context(), f.Open(), nil)
	if err != nil || len(r.Runs)+len(r.Unreadable) != len(evil) || len(r.Runs) < 10 { // keys with control characters are refused
		t.Fatalf("%d runs, unreadable %v: %v", len(r.Runs), r.Unreadable, err)
	}
	files, err := r.Files()
	if err != nil {
		t.Fatal(err)
	}
	tables := 0
	for _, file := range files {
		text := string(file.Data)
		if strings.ContainsAny(file.Name, "/\x1b\n<|=") {
			t.Errorf("a file is named %q", file.Name)
		}
		switch file.Name {
		case "runs.csv", "pairs.csv":
			tables++
			lines, err := csv.NewReader(bytes.NewReader(file.Data)).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range lines {
				for _, cell := range line {
					if _, err := strconv.ParseFloat(cell, 64); cell != "" && cell != "-" && err != nil && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
						t.Errorf("a formula: %q", cell)
					}
				}
			}
		case "report.md":
			for _, not := range []string{"<img", " [a](", " ![a]", " `a`", "\n# b", "\x1b", " *a*", "| a|b", "\u202e"} {
				if strings.Contains(text, not) {
					t.Errorf("report.md has %q", not)
				}
			}
			if n := strings.Count(text, "&lt;img src=x onerror=alert(1)&gt;"); n < 3 {
				t.Errorf("the name is there %d times", n)
			}
		case "report.html":
			if strings.Contains(text, "<img") {
				t.Error("report.html has an element of a run")
			}
		}
	}
	if tables != 2 {
		t.Errorf("%d tables for other programs", tables)
	}
}
