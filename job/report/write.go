package report

import (
	"bytes"
	"fmt"
	"io"
)

// File is one file of a report.
type File struct {
	Name string
	Data []byte
}

// image is a file that can be drawn, and what it shows.
type image struct {
	name, alt string
	write     func(io.Writer) error
}

// Files are the whole report: report.html, report.md, runs.csv and the charts as PNG.
func (r *Report) Files() ([]File, error) {
	images := r.images()
	all := []image{
		{name: "report.html", write: r.HTML},
		{name: "report.md", write: func(w io.Writer) error { return r.markdown(w, images) }},
		{name: "runs.csv", write: r.CSV},
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

// images are the charts that compare runs, and a table of errors for each preset: that of its first finished run.
func (r *Report) images() []image {
	var all []image
	for _, c := range r.compared() {
		if c.drawable() {
			all = append(all, image{c.name + ".png", c.Alt, c.PNG})
		}
	}
	if h := r.alphaBeta(); h != nil {
		all = append(all, image{h.Name + ".png", h.Title + ". " + h.Caption, func(w io.Writer) error { return h.PNG(w, h.Title) }})
	}
	drawn := map[string]bool{}
	for _, run := range r.Runs {
		h := run.table()
		if h == nil || run.Result == nil || drawn[run.Preset] {
			continue
		}
		drawn[run.Preset] = true
		all = append(all, image{h.Name + ".png", run.Name + ": " + h.Title + ". " + h.Caption, func(w io.Writer) error { return h.PNG(w, run.Name+": error by source and target depth") }})
	}
	return all
}
