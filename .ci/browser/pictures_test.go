package browser

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// TestTiles: every tile of the run that is shown, and of the runs side by side, is a square part of
// a picture that the browser can decode, with a text of what it shows, at both widths.
func TestTiles(t *testing.T) {
	for _, width := range []int64{1280, 390} {
		ctx := page(t, width, 900, width == 390)
		if n := eval[int](t, ctx, `document.querySelectorAll("section.run:not([hidden]) .tile").length`); n < 8*(1+2) {
			t.Errorf("at %d: the run that is shown has %d tiles", width, n)
		}
		if n := eval[int](t, ctx, `document.querySelectorAll(".gallery .tile").length`); n < 8*4 {
			t.Errorf("at %d: side by side there are %d tiles", width, n)
		}
		bad := eval[[]string](t, ctx, `[...document.querySelectorAll("section.run:not([hidden]) .tile,.gallery .tile")].filter(e => {
			const box = e.getBoundingClientRect(), style = getComputedStyle(e);
			return box.width < 20 || Math.abs(box.width - box.height) > 1 || box.right > innerWidth || !style.backgroundImage.startsWith('url("data:image/jpeg') || e.getAttribute("aria-label").length < 10;
		}).map(e => e.outerHTML.slice(0, 200))`)
		if len(bad) > 0 {
			t.Errorf("at %d: %d tiles are no squares of a picture with a text, the first %s", width, len(bad), bad[0])
		}
		// The size of a sheet in tiles, as the style has it, is the size of the file that is
		// decoded.
		eval[bool](t, ctx, `(() => {
			window.wrong = null;
			const sheets = new Map([...document.querySelectorAll(".tile")].map(e => [e.className.split(" ")[1], getComputedStyle(e)]));
			Promise.all([...sheets].map(async ([name, style]) => {
				const image = new Image();
				image.src = style.backgroundImage.slice(5, -2);
				await image.decode();
				const [w, h] = style.backgroundSize.split(" ").map(parseFloat);
				return Math.abs(w / h - image.naturalWidth / image.naturalHeight) < 1e-3 ? "" : name;
			})).then(all => { window.wrong = all.filter(x => x).join() }, e => { window.wrong = String(e) });
			return true;
		})()`)
		if err := chromedp.Run(ctx, chromedp.Poll(`window.wrong !== null`, nil)); err != nil {
			t.Fatal(err)
		}
		if wrong := eval[string](t, ctx, `window.wrong`); wrong != "" {
			t.Errorf("at %d: sheets that are not what their style says: %s", width, wrong)
		}
	}
}
