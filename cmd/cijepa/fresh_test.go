package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestFreshClone types the README's first two commands, the demonstration and the tests, into a
// fresh clone of this checkout, in an empty folder with an empty HOME, and compares what the
// demonstration prints with what the README says that it does. CIJEPA_TEST_FRESH=1 lends it the
// caches of Go; CIJEPA_TEST_FRESH=cold does not, and types the build of the test command as well:
// .ci/run types the whole of it in a clean clone.
func TestFreshClone(t *testing.T) {
	caches := asked["CIJEPA_TEST_FRESH"]
	if caches == "" {
		t.Skip("only with CIJEPA_TEST_FRESH=1, or cold")
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```(?:sh)?\n(.*?)^```").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) < 3 {
		t.Fatal("the README does not begin with a command, what it prints, and the test command")
	}
	demo, printed, test := strings.TrimSpace(blocks[0][1]), blocks[1][1], strings.TrimSpace(blocks[2][1])
	if !strings.Contains(demo, "cijepa demo") || !strings.Contains(test, "go test") {
		t.Fatalf("these are not the demonstration and the tests: %q, %q", demo, test)
	}

	clone := filepath.Join(t.TempDir(), "cijepa")
	environment := bare(t.TempDir(), t.TempDir())
	if caches != "cold" {
		out, err := exec.Command("go", "env", "GOMODCACHE", "GOCACHE").Output()
		if err != nil {
			t.Fatal(err)
		}
		folders := strings.Fields(string(out))
		environment = append(environment, "GOMODCACHE="+folders[0], "GOCACHE="+folders[1])
	} else {
		t.Cleanup(func() { // the module cache is read-only
			c := exec.Command("go", "clean", "-modcache")
			c.Env = environment
			_ = c.Run() // what stays makes the removal of the folder fail, which says so
		})
	}
	run := func(folder, command string) string {
		t.Helper()
		c := exec.Command("sh", "-c", command)
		var out, log bytes.Buffer
		c.Dir, c.Env, c.Stdout, c.Stderr = folder, environment, &out, &log
		begin := time.Now()
		if err := c.Run(); err != nil {
			t.Fatalf("%s: %v\n%s%s", command, err, &out, &log)
		}
		t.Logf("%s: %.0f s", command, time.Since(begin).Seconds())
		return out.String()
	}
	top := strings.TrimSpace(run(".", "git rev-parse --show-toplevel"))
	if changed := run(".", "git status --porcelain --untracked-files=no"); changed != "" {
		t.Logf("a clone has what is committed, which these files are not:\n%s", changed)
	}
	run(filepath.Dir(clone), "git clone -q "+top+" cijepa")

	first := run(clone, demo)
	compare(t, printed, first)
	if again := run(clone, demo); again != first {
		t.Errorf("the finished demonstration, typed again, prints\n%s\ninstead of\n%s", again, first)
	}
	if caches == "cold" {
		run(clone, test+" -run '^$'")
	}
}

// bare is an environment with a home of its own and without what this shell sets for Go or for
// cijepa. The way to the network stays.
func bare(home, temporary string) []string {
	kept := []string{"HOME=" + home, "TMPDIR=" + temporary, "PATH=" + os.Getenv("PATH")}
	for _, name := range []string{"GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if value, ok := os.LookupEnv(name); ok {
			kept = append(kept, name+"="+value)
		}
	}
	return kept
}

// compare holds the last lines that were printed to the README's, but for the numbers and for what
// stands for "...", and the probe of the deepest depth and the kNN to the promise that pretraining
// teaches something.
func compare(t *testing.T, readme, printed string) {
	t.Helper()
	want, got := lines(readme), lines(printed)
	if len(got) < len(want) {
		t.Fatalf("%d lines instead of %d:\n%s", len(got), len(want), printed)
	}
	got = got[len(got)-len(want):]
	number := regexp.MustCompile(`\d+(\.\d+)?`)
	var deepest, neighbours []string
	for i, line := range want {
		pattern := regexp.QuoteMeta(strings.ReplaceAll(number.ReplaceAllString(line, "NUMBER"), "...", "ANYTHING"))
		pattern = strings.NewReplacer("NUMBER", number.String(), "ANYTHING", ".+").Replace(pattern)
		pattern = regexp.MustCompile(" +").ReplaceAllString(pattern, " +")
		if !regexp.MustCompile("^" + pattern + "$").MatchString(got[i]) {
			t.Errorf("printed  %s\nREADME   %s", got[i], line)
		}
		if strings.Contains(line, "depth") {
			deepest = number.FindAllString(got[i], -1)
		}
		if strings.Contains(line, "kNN") {
			neighbours = number.FindAllString(got[i], -1)
		}
	}
	if len(deepest) != 3 || len(neighbours) != 2 {
		t.Fatalf("no row of a depth or none of the kNN in\n%s", printed)
	}
	for _, c := range []struct {
		what  string
		top1  []string // pretrained, untrained
		least float64  // points between them
	}{{"probe", deepest[1:], 10}, {"kNN", neighbours, 5}} {
		pretrained, _ := strconv.ParseFloat(c.top1[0], 64)
		untrained, _ := strconv.ParseFloat(c.top1[1], 64)
		t.Logf("%s: %v %% pretrained, %v %% untrained", c.what, pretrained, untrained)
		if pretrained < untrained+c.least {
			t.Errorf("by the %s pretraining is worth less than %v points", c.what, c.least)
		}
	}
}

// lines are those of a text that are not blank.
func lines(text string) (list []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, " \n"); line != "" {
			list = append(list, line)
		}
	}
	return list
}
