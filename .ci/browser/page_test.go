// Package browser opens the report in a real browser, as a reader does.
package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// page is the report that CIJEPA_REPORT_PAGE names, open in Chromium.
func page(t *testing.T, width, height int64, dark bool) context.Context {
	t.Helper()
	path := os.Getenv("CIJEPA_REPORT_PAGE")
	if path == "" {
		t.Skip("CIJEPA_REPORT_PAGE names no page")
	}
	return open(t, "file://"+path, width, height, dark, nil)
}

// open opens a page in Chromium. What the browser complains of, unless it is forgiven, and what it
// asks of others than the page's own address, fails the test at its end.
func open(t *testing.T, address string, width, height int64, dark bool, forgiven func(complaint string) bool) context.Context {
	t.Helper()
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("no chromium: install the package of that name")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.WindowSize(int(width), int(height)))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(cancel)
	complaints := make(chan string, 100)
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			complaints <- "exception: " + e.ExceptionDetails.Error()
		case *runtime.EventConsoleAPICalled:
			complaints <- fmt.Sprintf("console: %s %v", e.Type, e.Args)
		case *log.EventEntryAdded:
			complaints <- "log: " + e.Entry.Text
		case *network.EventRequestWillBeSent:
			if url := e.Request.URL; !strings.HasPrefix(url, address) && !strings.HasPrefix(url, "data:") {
				complaints <- "a request left the page: " + url
			}
		}
	})
	t.Cleanup(func() {
		for len(complaints) > 0 {
			if c := <-complaints; forgiven == nil || !forgiven(c) {
				t.Error(c)
			}
		}
	})
	err = chromedp.Run(ctx, network.Enable(), log.Enable(), emulation.SetDeviceMetricsOverride(width, height, 1, width < 600),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: schemes[dark]}}),
		chromedp.Navigate(address), chromedp.WaitReady("body"))
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// schemes by whether they are dark.
var schemes = map[bool]string{true: "dark", false: "light"}

// shoot takes a picture of the whole page.
func shoot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	var picture []byte
	if err := chromedp.Run(ctx, chromedp.FullScreenshot(&picture, 100)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, picture, 0o666); err != nil {
		t.Fatal(err)
	}
}

// eval runs a script in the page.
func eval[T any](t *testing.T, ctx context.Context, script string) (value T) {
	t.Helper()
	if err := chromedp.Run(ctx, chromedp.Evaluate(script, &value)); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return value
}

// TestOpen: charts are drawn, each with a text of what it shows.
func TestOpen(t *testing.T) {
	ctx := page(t, 1280, 900, false)
	if n := eval[int](t, ctx, `[...document.querySelectorAll("svg")].filter(s => s.getAttribute("aria-label").length > 20 && s.querySelector("path")).length`); n < 10 {
		t.Errorf("%d charts with a text", n)
	}
	if n := eval[int](t, ctx, `document.querySelectorAll("#table-post tbody tr").length`); n != 12 {
		t.Errorf("%d rows of the post's table", n)
	}
	if bad := eval[[]string](t, ctx, `[...document.querySelectorAll("svg,.bar,table.heat,[role=region]")].filter(e => !(e.getAttribute("aria-label") || document.getElementById(e.getAttribute("aria-labelledby"))?.textContent)).map(e => e.outerHTML.slice(0, 80))`); len(bad) > 0 {
		t.Errorf("without a text of what they show: %q", bad)
	}
	if n := eval[int](t, ctx, `[...document.querySelectorAll(".scroll")].filter(e => e.tabIndex < 0).length`); n > 0 {
		t.Errorf("%d tables that are wider than a screen cannot be scrolled by key", n)
	}
}

// TestSort sorts the runs by two columns, both ways, by mouse and by key.
func TestSort(t *testing.T) {
	ctx := page(t, 1280, 900, false)
	column := func(n int) []string {
		return eval[[]string](t, ctx, fmt.Sprintf(`[...document.querySelectorAll("#table-runs tbody tr")].map(r => r.cells[%d].textContent.trim())`, n))
	}
	before := column(0)
	if err := chromedp.Run(ctx, chromedp.Click(`#table-runs thead th:nth-child(1) button`)); err != nil {
		t.Fatal(err)
	}
	names := column(0)
	if !slices.IsSortedFunc(names, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }) || len(names) != len(before) || len(names) < 6 {
		t.Errorf("sorted by name: %q", names)
	}
	if err := chromedp.Run(ctx, chromedp.Focus(`#table-runs thead th:nth-child(4) button`), chromedp.KeyEvent("\r")); err != nil {
		t.Fatal(err)
	}
	tops := eval[[]float64](t, ctx, `[...document.querySelectorAll("#table-runs tbody tr")].map(r => r.cells[3].textContent.trim()).filter(x => x !== "–").map(parseFloat)`)
	if !slices.IsSortedFunc(tops, func(a, b float64) int { return int(1000 * (b - a)) }) || len(tops) < 6 {
		t.Errorf("top-1, best first: %v", tops)
	}
	if last := column(3); last[len(last)-1] != "–" && len(tops) < len(last) {
		t.Errorf("a run without a result stands among the others: %q", last)
	}
	if got := eval[string](t, ctx, `document.querySelector("#table-runs thead th:nth-child(4)").getAttribute("aria-sort")`); got != "descending" {
		t.Errorf("aria-sort is %q", got)
	}
}

// TestSwitchRun shows one run at a time: at first the best, then by the list, by a link, by the
// address.
func TestSwitchRun(t *testing.T) {
	ctx := page(t, 1280, 900, false)
	shown := func() []string {
		return eval[[]string](t, ctx, `[...document.querySelectorAll("section.run")].filter(s => !s.hidden).map(s => s.dataset.run)`)
	}
	all := eval[[]string](t, ctx, `[...document.querySelectorAll("section.run")].map(s => s.dataset.run)`)
	best := eval[string](t, ctx, `document.querySelector(".lead a").textContent`)
	if got := shown(); len(got) != 1 || got[0] != best {
		t.Errorf("at first %q are shown, and %s is the best", got, best)
	}
	if err := chromedp.Run(ctx, chromedp.SetValue("#run", all[2]), chromedp.Evaluate(`document.getElementById("run").dispatchEvent(new Event("change"))`, nil)); err != nil {
		t.Fatal(err)
	}
	if got := shown(); len(got) != 1 || got[0] != all[2] {
		t.Errorf("after choosing %s %q are shown", all[2], got)
	}
	if err := chromedp.Run(ctx, chromedp.Click(fmt.Sprintf(`#table-runs a[href="#%s"]`, all[1]))); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Run(ctx, chromedp.Poll(fmt.Sprintf(`!document.querySelector('section[data-run="%s"]').hidden`, all[1]), nil)); err != nil {
		t.Fatalf("after the link %q are shown: %v", shown(), err)
	}
}

// TestSlider moves the table of errors through time, and back to where it was.
func TestSlider(t *testing.T) {
	ctx := page(t, 1280, 900, false)
	run := eval[string](t, ctx, `document.querySelector(".heat-box input").closest("section").dataset.run`)
	if err := chromedp.Run(ctx, chromedp.Evaluate(fmt.Sprintf(`location.hash = %q`, "#"+run), nil)); err != nil {
		t.Fatal(err)
	}
	cells := func() string {
		return eval[string](t, ctx, fmt.Sprintf(`[...document.querySelectorAll('section[data-run="%s"] .heat-box td')].map(c => c.textContent + getComputedStyle(c).backgroundColor).join()`, run))
	}
	move := func(to string) {
		eval[bool](t, ctx, fmt.Sprintf(`(() => { const s = document.querySelector('section[data-run="%s"] .heat-box input'); s.value = s.%s; return s.dispatchEvent(new Event("input")); })()`, run, to))
	}
	now := cells()
	move("min")
	if first := cells(); first == now || strings.Contains(first, "NaN") {
		t.Errorf("the first table is %s, the last %s", first, now)
	}
	move("max")
	if again := cells(); again != now {
		t.Errorf("the newest table is %s after the slider came back, and was %s", again, now)
	}
}

// TestNarrow: on a phone nothing sticks out, in light and dark, of no run and whatever long words a
// device, a name or an error has.
func TestNarrow(t *testing.T) {
	for _, dark := range []bool{false, true} {
		ctx := page(t, 390, 844, dark)
		eval[int](t, ctx, `(() => {
			document.querySelectorAll("section.run").forEach((s) => { s.hidden = false; });
			document.querySelectorAll("details").forEach((d) => { d.open = true; });
			const texts = [...document.querySelectorAll("h1,h2,h3,p,dd,li,summary")].filter((e) => e.childElementCount === 0);
			texts.forEach((e) => { e.textContent += "/long".repeat(30); });
			return texts.length;
		})()`)
		if wide := eval[int](t, ctx, `document.documentElement.scrollWidth`); wide > 390 {
			t.Errorf("the page is %d wide at 390", wide)
		}
		paper, ink := eval[string](t, ctx, `getComputedStyle(document.body).backgroundColor`), eval[string](t, ctx, `getComputedStyle(document.body).color`)
		if (paper == "rgb(255, 255, 255)") == dark || paper == ink {
			t.Errorf("dark %t: %s on %s", dark, ink, paper)
		}
	}
}

// TestLabelsAreWhole: no text of a chart sticks out of its picture, in the fonts of the page or in
// a wide one. (The empty part of a line of upright letters may, by 3 pixels.)
func TestLabelsAreWhole(t *testing.T) {
	for _, font := range []string{"", "DejaVu Sans"} {
		ctx := page(t, 1280, 900, false)
		cut := eval[[]string](t, ctx, fmt.Sprintf(`(() => {
			document.querySelectorAll("section.run").forEach((s) => { s.hidden = false; });
			return [...document.querySelectorAll("svg text")].filter((text) => {
				const svg = text.closest("svg");
				if (%[1]q) svg.style.fontFamily = %[1]q;
				const box = text.getBoundingClientRect(), picture = svg.getBoundingClientRect();
				return box.left < picture.left - 3 || box.right > picture.right + .5 || box.top < picture.top - .5 || box.bottom > picture.bottom + .5;
			}).map((text) => text.textContent);
		})()`, font))
		if len(cut) > 0 {
			t.Errorf("font %q: cut off: %q", font, cut)
		}
	}
}

// TestAccessible: axe-core finds nothing on the page, in light and dark, on a screen and on a
// phone.
func TestAccessible(t *testing.T) {
	for _, dark := range []bool{false, true} {
		for _, width := range []int64{1280, 390} {
			checkAccessible(t, page(t, width, 900, dark))
		}
	}
}

// checkAccessible runs axe-core, the file that CIJEPA_AXE names.
func checkAccessible(t *testing.T, ctx context.Context) {
	t.Helper()
	path := os.Getenv("CIJEPA_AXE")
	if path == "" {
		t.Skip("CIJEPA_AXE names no axe.min.js")
	}
	script, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var violations []string
	err = chromedp.Run(ctx, chromedp.Evaluate(string(script)+";0", nil),
		chromedp.Evaluate(`axe.run().then((r) => r.violations.map((v) => v.impact + " " + v.id + ": " + v.nodes.map((n) => n.html.slice(0, 120)).slice(0, 3).join(" ")))`,
			&violations, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range violations {
		t.Error(v)
	}
}

// TestPictures takes the pictures that a person looks at, when CIJEPA_SCREENSHOTS names a folder.
func TestPictures(t *testing.T) {
	folder := os.Getenv("CIJEPA_SCREENSHOTS")
	if folder == "" {
		t.Skip("CIJEPA_SCREENSHOTS names no folder")
	}
	for _, width := range []int64{1280, 390} {
		for _, dark := range []bool{false, true} {
			ctx := page(t, width, 900, dark)
			if run := os.Getenv("CIJEPA_REPORT_RUN"); run != "" {
				eval[string](t, ctx, fmt.Sprintf(`location.hash = %q`, "#"+run))
			}
			shoot(t, ctx, filepath.Join(folder, fmt.Sprintf("report-%d-%s.png", width, schemes[dark])))
		}
	}
}
