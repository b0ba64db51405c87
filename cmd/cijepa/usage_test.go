package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// typed runs the program with a command line and no settings but these.
func typed(t *testing.T, settings []string, args ...string) (code int, out, log string) {
	t.Helper()
	c := exec.Command(os.Args[0], args...)
	c.Dir, c.Env = t.TempDir(), append([]string{asProgram + "=1", "HOME=" + t.TempDir()}, settings...)
	printed, logged := new(output), new(output)
	c.Stdout, c.Stderr = printed, logged
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	code = wait(t, c)
	if left, err := os.ReadDir(c.Dir); err != nil || len(left) > 0 {
		t.Errorf("%q left %v in its folder: %v", args, left, err)
	}
	return code, printed.String(), logged.String()
}

// TestHelpOfEveryCommand: in each of its forms help is the command's own, costs nothing, needs no
// setting and writes nothing.
func TestHelpOfEveryCommand(t *testing.T) {
	t.Parallel()
	commands := regexp.MustCompile(`(?m)^  cijepa ([a-z]+)`).FindAllStringSubmatch(usage, -1)
	if len(commands) < 9 {
		t.Fatalf("the general help names %v", commands)
	}
	for _, c := range commands {
		name := c[1]
		want := "cijepa " + name
		if name == "help" {
			want = "cijepa pretrains"
		}
		for _, args := range [][]string{{name, "-h"}, {name, "--help"}, {"help", name}} {
			if code, out, log := typed(t, nil, args...); code != 0 || !strings.HasPrefix(out, want) || log != "" {
				t.Errorf("%q: exit %d\n%s%s", args, code, out, log)
			}
		}
	}
	for _, general := range []string{"help", "-h", "--help"} {
		if code, out, _ := typed(t, nil, general); code != 0 || out != usage {
			t.Errorf("%s: exit %d\n%s", general, code, out)
		}
	}
	for _, version := range []string{"version", "-version", "--version"} {
		if code, out, _ := typed(t, nil, version); code != 0 || !strings.Contains(out, "\ngomlx    v") {
			t.Errorf("%s: exit %d\n%s", version, code, out)
		}
	}
}

// TestCommandLinesThatCannotWork: the fault comes first, and the way to the help only where help is
// of any.
func TestCommandLinesThatCannotWork(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	unwritable, empty := "file://"+file+"/below", "file://"+t.TempDir()
	for _, c := range []struct {
		args     []string
		settings []string
		says     string // of the log's "error"
	}{
		{[]string{"chek"}, nil, `there is no command \"chek\"; did you mean check?"`},
		{[]string{"help", "benhc"}, nil, `there is no command \"benhc\"; did you mean bench?"`},
		{[]string{"frobnicate"}, nil, `there is no command \"frobnicate\"; see cijepa help"`},
		{nil, nil, `a run needs a bucket: set CIJEPA_BUCKET to its URL, such as s3://name?region=eu-west-1 or file:///folder\ncijepa demo needs none`},
		{nil, []string{"CIJEPA_EPOCHS=x"}, `2 settings cannot work:\n  CIJEPA_EPOCHS=\"x\": a whole number\n  CIJEPA_BUCKET: the URL of a bucket`},
		{[]string{""}, nil, `there is no command \"\"; see cijepa help"`},
		{[]string{"demo", "foo"}, nil, `demo takes no argument, and \"foo\" is one; see cijepa help demo"`},
		{[]string{"check", "-x"}, nil, `check: flag provided but not defined: -x; see cijepa help check"`},
		{[]string{"config", "all"}, nil, `config takes no argument without -env, and \"all\" is one; see cijepa help config"`},
		{[]string{"config", "-env", empty}, nil, `config -env takes no argument, or a bucket and the name of a run`},
		{[]string{"config", "-env", "-json"}, nil, `-env and -json are two forms`},
		{[]string{"config", "-env", empty, "nosuch"}, nil, `there is no run \"nosuch\" in file:///`},
		{[]string{"ls", empty}, nil, `there is no run in file:///`},
		{[]string{"ls", "-runs", "[", empty}, nil, `ls: invalid value \"[\" for flag -runs: \"[\" is no pattern of names; see cijepa help ls`},
		{[]string{"version", "all"}, nil, `version takes no argument`},
		{[]string{"pack", "x"}, nil, `pack takes 2 arguments, not 1; see cijepa help pack"`},
		{[]string{"report", "x", "y"}, nil, `report takes 1 argument, not 2; see cijepa help report"`},
		{[]string{"pack", "/nosuch", empty}, nil, `SOURCE: stat /nosuch: no such file or directory"`},
		{[]string{"pack", "-classes", "/nosuch", "x", empty}, nil, `-classes /nosuch: open /nosuch: no such file or directory; the lists that need no file are`},
		{[]string{"pack", "-data", "../x", "x", empty}, nil, `-data ../x: a folder of the bucket`},
		{[]string{"index", "-data", "runs/x", empty}, nil, `-data runs/x: a folder of the bucket`},
		{[]string{"index", "/nosuch"}, nil, `bucket URL \"/nosuch\" has no scheme; for a directory write file:///nosuch"`},
		{[]string{"report", empty}, nil, `there is no run in file:///`},
		{[]string{"demo"}, []string{"CIJEPA_BUCKET=" + unwritable}, `opening bucket file:///`},
		{[]string{"demo"}, []string{"CIJEPA_PRESET=L200"}, `cijepa demo runs the preset demo; for CIJEPA_PRESET=L200 call cijepa alone"`},
	} {
		code, out, log := typed(t, c.settings, c.args...)
		if code != exitSettings || out != "" || !strings.Contains(log, `"error":"`+c.says) {
			t.Errorf("%q: exit %d, without %s in\n%s%s", c.args, code, c.says, out, log)
		}
	}
}
