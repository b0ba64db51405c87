package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// File is one file of a report.
type File struct {
	Name string
	Data []byte
}

// image is a picture of the report, and what it shows.
type image struct {
	name, alt string
	write     func(io.Writer) error
}

// Files is the whole report: report.html, report.md, runs.csv, pairs.csv if runs can be paired, and
// the charts as PNG.
func (r *Report) Files() ([]File, error) {
	images := r.images()
	all := []image{
		{name: "report.html", write: r.HTML},
		{name: "report.md", write: func(w io.Writer) error { return r.writeMarkdown(w, images) }},
		{name: "runs.csv", write: r.writeCSV},
	}
	if len(r.ShownPairs()) > 0 {
		all = append(all, image{name: "pairs.csv", write: r.writePairsCSV})
	}
	var files []File
	for _, file := range append(all, images...) {
		var b bytes.Buffer
		if err := file.write(&b); err != nil {
			return nil, fmt.Errorf("writing %s: %w", file.name, err)
		}
		files = append(files, File{file.name, b.Bytes()})
	}
	return files, nil
}

// images are the charts that compare runs, and for each preset the pictures and the table of errors
// of its first finished run.
func (r *Report) images() []image {
	var all []image
	for _, c := range r.comparisons() {
		if !c.Empty() {
			all = append(all, image{c.name + ".png", c.Alt(), c.PNG})
		}
	}
	if h := r.alphaBeta(); h != nil {
		draw := func(w io.Writer) error { return h.PNG(w, h.Title) }
		all = append(all, image{h.Name + ".png", h.Title + ". " + h.Caption, draw})
	}
	drawn, pictured := map[string]bool{}, map[string]bool{}
	for _, run := range r.Runs {
		if run.Pictures != nil && !pictured[run.Preset] {
			pictured[run.Preset] = true
			all = append(all, pictureImages(run)...)
		}
		h := errorTable(run)
		if h == nil || run.Result == nil || drawn[run.Preset] {
			continue
		}
		drawn[run.Preset] = true
		draw := func(w io.Writer) error { return h.PNG(w, run.Name+": error by source and target depth") }
		all = append(all, image{h.Name + ".png", run.Name + ": " + h.Title + ". " + h.Caption, draw})
	}
	return all
}

// fileName is the name of a run as a part of a file's name, and of an element's in the page.
func fileName(run string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-", r)) {
			return r
		}
		return '_'
	}, run)
}
