package report

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html"
	"regexp"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/history/historytest"
)

// TestPicturesOfRuns: every tile of a run's pictures is on its part of the page with a text of what
// it shows, the deepest tiles of runs on one data set stand below each other, and a sheet is in the
// page once.
func TestPicturesOfRuns(t *testing.T) {
	f := historytest.New(t)
	f.PutPictured("a", "L200", 0, 50)
	f.PutPictured("b", "L200", 1, 51)
	f.PutFinished("plain", "L200", 2, 49)
	r, err := Read(t.Context(), f.Open(), references)
	if err != nil {
		t.Fatal(err)
	}
	var page, text bytes.Buffer
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`(?s)<section class="run"[^>]*data-run="b".*?</section>`).FindString(html.UnescapeString(page.String()))
	for _, want := range []string{
		`aria-label="validation image 3, shirt"`, `aria-label="validation image 9"`, `aria-label="shirt, teacher, depth 1: 30 + 20 + 10 % of the variance, following brightness 0.90, centre 0.40, nothing"`,
		`aria-label="image 9, untrained encoder, depth 5: 60`, "nearest training images: 1 of 2 of its class", `class="tile n1 same"`, `class="tile n1 other"`,
		`aria-label="coat, training image 8, similarity 0.9000"`, `aria-label="training image 2, similarity 0.7000"`, "teacher, depth 1, 5",
		// The last tile of the second row, 208 of 224 pixels to the right and 64 of 80 down.
		`class="tile c1" style="background-position:92.8571% 80.0000%"`, "1 of 2 are of its class",
	} {
		if !strings.Contains(section, want) {
			t.Errorf("run b has no %q\n%s", want, section)
		}
	}
	if n := strings.Count(section, "aria-label=") - strings.Count(section, "<svg"); n < 2*(1+4+2) {
		t.Errorf("%d tiles with a text", n)
	}
	if strings.Contains(section, "ZgotmplZ") || strings.Contains(page.String(), "ZgotmplZ") {
		t.Error("the template has refused a style")
	}
	if n := strings.Count(page.String(), base64.StdEncoding.EncodeToString(r.Runs[0].Pictures.ComponentsJPEG)); n != 2 { // both runs have the same file
		t.Errorf("the components of two runs are %d times in the page", n)
	}
	_, gallery, _ := strings.Cut(page.String(), `<div class="gallery"`)
	gallery, _, _ = strings.Cut(gallery, "</div>")
	for _, want := range []string{`<a href="#a">a</a>`, `<a href="#b">b</a>`, "<b>untrained</b>", `aria-label="shirt, teacher of b, depth 5:`, `aria-label="image 9, untrained encoder of a, depth 5:`} {
		if !strings.Contains(gallery, want) {
			t.Errorf("side by side there is no %q\n%s", want, gallery)
		}
	}
	if strings.Contains(gallery, "plain") {
		t.Error("a run without pictures stands among those that have some")
	}
	if err := r.writeMarkdown(&text, r.images()); err != nil {
		t.Fatal(err)
	}
	if want := "![a: 2 validation images (shirt, image 9), each beside"; !strings.Contains(text.String(), want) || !strings.Contains(text.String(), "](neighbours-a.jpg)") {
		t.Errorf("report.md has no %q\n%s", want, text.String())
	}
}

// TestOtherImagesStandApart: runs whose pictures show other images are not laid side by side.
func TestOtherImagesStandApart(t *testing.T) {
	f := historytest.New(t)
	f.PutPictured("a", "L200", 0, 50)
	f.PutPictured("b", "L200", 1, 51)
	other := historytest.Record("L200", 1)
	other.Fingerprint = "other data"
	f.PutRecord("runs/b/run.json", other)
	r, err := Read(t.Context(), f.Open(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if g := r.Galleries(); len(g) > 0 {
		t.Errorf("%d galleries", len(g))
	}
}

// TestPicturesLeaveRoom: a page holds the pictures of many runs up to a size, and says whose it
// leaves out.
func TestPicturesLeaveRoom(t *testing.T) {
	f := historytest.New(t)
	const runs = 12
	for i := range runs {
		f.PutPictured(fmt.Sprintf("run-%02d", i), "L200", i, 50)
	}
	r, err := Read(t.Context(), f.Open(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range r.Runs {
		run.Pictures.NeighboursJPEG = make([]byte, maxPictureBytes/10)
	}
	if n := len(r.shownPictures()); n < 8 || n > 9 {
		t.Errorf("the pictures of %d of %d runs are shown, of which nine fit", n, runs)
	}
	var page bytes.Buffer
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(page.String(), "Its pictures lie beside its result"); n < 3 || page.Len() > 2*maxPictureBytes {
		t.Errorf("%d runs without room for their pictures, on a page of %d bytes", n, page.Len())
	}
}
