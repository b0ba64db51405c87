package browser

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// demonstration starts the demonstration of the program that CIJEPA_PROGRAM names, and gives the
// address that it shows itself on.
func demonstration(t *testing.T) (address string, stop func()) {
	t.Helper()
	program := os.Getenv("CIJEPA_PROGRAM")
	if program == "" {
		t.Skip("CIJEPA_PROGRAM names no program")
	}
	c := exec.Command(program, "demo")
	c.Dir = t.TempDir()
	c.Env = []string{"CIJEPA_LISTEN=127.0.0.1:0", "CIJEPA_LOG_EVERY=2"}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CIJEPA_") { // those of this test are no settings
			c.Env = append(c.Env, v)
		}
	}
	log, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
	t.Cleanup(stop)
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var line struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			go func() { // the program must not wait for its reader
				for lines.Scan() {
				}
			}()
			return "http://" + line.Address + "/", stop
		}
	}
	t.Fatal("the demonstration does not listen")
	return "", nil
}

// TestLive watches a run: its page has charts, renews itself without being loaded again, leaves
// what its reader has opened as it is, fits a phone, and keeps the last state when the run is gone.
func TestLive(t *testing.T) {
	address, stop := demonstration(t)
	gone := func(complaint string) bool { return strings.Contains(complaint, "ERR_CONNECTION") } // the run, in the end
	ctx := open(t, address, 390, 844, true, gone)
	until := func(what, condition string) {
		t.Helper()
		if err := chromedp.Run(ctx, chromedp.Poll(condition, nil, chromedp.WithPollingInterval(200*time.Millisecond), chromedp.WithPollingTimeout(2*time.Minute))); err != nil {
			t.Fatalf("never: %s: %v", what, err)
		}
	}
	eval[int](t, ctx, `window.loadedOnce = 1`)
	until("charts and a table of errors", `document.querySelectorAll("svg[aria-label]").length >= 4 && document.querySelector("table.heat") !== null`)
	done := eval[float64](t, ctx, `document.querySelector("progress").value`)
	eval[bool](t, ctx, `[...document.querySelectorAll("details")].at(-1).open = true`)
	until("an update more", fmt.Sprintf(`document.querySelector("progress")?.value > %g`, done))
	if !eval[bool](t, ctx, `window.loadedOnce === 1 && [...document.querySelectorAll("details")].at(-1).open`) {
		t.Error("the page was loaded again, or closed what its reader had opened")
	}
	if wide := eval[int](t, ctx, `document.documentElement.scrollWidth`); wide > 390 {
		t.Errorf("the page is %d wide at 390", wide)
	}
	t.Run("accessible", func(t *testing.T) { checkAccessible(t, ctx) })
	if folder := os.Getenv("CIJEPA_SCREENSHOTS"); folder != "" {
		for _, width := range []int64{1280, 390} {
			for dark, scheme := range schemes {
				shoot(t, open(t, address, width, 900, dark, gone), filepath.Join(folder, fmt.Sprintf("live-%d-%s.png", width, scheme)))
			}
		}
	}
	stop()
	until("a word on the silence", `!document.getElementById("silent").hidden && document.querySelectorAll("svg").length >= 4`)
}
