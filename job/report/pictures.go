package report

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/record"
)

//go:embed pictures.html.tmpl
var picturesText string

//go:embed pictures.css
var picturesStyle string

// maxPictureBytes is the most of all pictures in a page. Those of some sixty runs fit.
const maxPictureBytes = 8 << 20

// sights are the pictures of a run in the page.
type sights struct {
	*history.Pictures
	Note   string
	Depths []record.PicturedDepth
	Rows   []sight
	Left   string // in place of the pictures, where the page has no room for them
}

// sight is one image of the pictures.
type sight struct {
	Name               string
	Image              tile
	Teacher, Untrained []tile // by depth
	Near               string // what the neighbours are, in a sentence
	Neighbours         []tile
}

// tile is a square of a sheet, as the background of an element.
type tile struct {
	Class string
	Style template.CSS
	Alt   string // what it shows
	Word  string // below it
	Mark  string // class of its frame
}

// gallery is the pictures of all runs on one data set side by side.
type gallery struct {
	Data   string // the name of the data set
	Images []tile
	Rows   []galleryRow
}

// galleryRow is one encoder of a gallery.
type galleryRow struct {
	Name, Run string // Run: where the link leads; empty: nowhere
	Tiles     []tile
}

// shownPictures are the runs whose pictures the page has room for, by index.
func (r *Report) shownPictures() map[*history.Run]int {
	shown, size := map[*history.Run]int{}, 0
	for i, run := range r.Runs {
		if run.Pictures == nil {
			continue
		}
		size += len(run.Pictures.ComponentsJPEG) + len(run.Pictures.NeighboursJPEG)
		if size <= maxPictureBytes {
			shown[run] = i
		}
	}
	return shown
}

// pictureStyle is the sheets of all runs as backgrounds, and the style of what shows them. A sheet
// is in the page once, however often its tiles are.
func (r *Report) pictureStyle() template.CSS {
	var b strings.Builder
	b.WriteString(picturesStyle)
	shown := r.shownPictures()
	for _, run := range r.Runs {
		i, ok := shown[run]
		if !ok {
			continue
		}
		sheet := func(class string, s record.Sheet, file []byte) {
			fmt.Fprintf(&b, ".%s{background-image:url(data:image/jpeg;base64,%s);background-size:%.4f%% %.4f%%}\n", class,
				base64.StdEncoding.EncodeToString(file), 100*float64(s.Width)/float64(s.Tile), 100*float64(s.Height)/float64(s.Tile))
		}
		sheet(sheetClass("c", i), run.Pictures.Components, run.Pictures.ComponentsJPEG)
		if run.Pictures.Neighbours != nil {
			sheet(sheetClass("n", i), *run.Pictures.Neighbours, run.Pictures.NeighboursJPEG)
		}
	}
	return template.CSS(b.String())
}

func sheetClass(sheet string, run int) string { return fmt.Sprintf("%s%d", sheet, run) }

// newTile is a tile of a sheet.
func newTile(class string, s record.Sheet, row, column int, alt string) tile {
	x, y := s.At(row, column)
	share := func(at, whole int) float64 { return 100 * float64(at) / max(float64(whole-s.Tile), 1) }
	return tile{Class: class, Alt: alt, Style: template.CSS(fmt.Sprintf("background-position:%.4f%% %.4f%%", share(x, s.Width), share(y, s.Height)))}
}

// Sights are the pictures of a run; nil if it has none.
func (r *Report) Sights(run *history.Run) *sights {
	p := run.Pictures
	if p == nil {
		return nil
	}
	i, ok := r.shownPictures()[run]
	if !ok {
		return &sights{Pictures: p, Left: "Its pictures lie beside its result: with them the page would be too large."}
	}
	s := &sights{Pictures: p, Note: p.ComponentsNote(), Depths: p.Depths}
	if p.Neighbours != nil {
		s.Note += " " + p.NeighboursNote()
	}
	components, neighbours := sheetClass("c", i), sheetClass("n", i)
	for row, image := range p.Images {
		of := sight{Name: image.Name(), Image: newTile(components, p.Components, row, 0, imageAlt(p, image)), Near: near(image)}
		for k, d := range p.Depths {
			of.Teacher = append(of.Teacher, newTile(components, p.Components, row, 1+k, componentsAlt(image, "teacher", d.Depth, d.Teacher)))
			of.Untrained = append(of.Untrained, newTile(components, p.Components, row, 1+len(p.Depths)+k, componentsAlt(image, "untrained encoder", d.Depth, d.Untrained)))
		}
		for k, n := range image.Neighbours {
			t := newTile(neighbours, *p.Neighbours, row, 1+k, fmt.Sprintf("training image %d, similarity %.4f", n.Sample, n.Similarity))
			if t.Word = record.Printable(n.Class); n.Class != "" {
				t.Alt = t.Word + ", " + t.Alt
			}
			if same, known := image.Agrees(n); known && same {
				t.Mark = "same"
			} else if known {
				t.Mark = "other"
			}
			of.Neighbours = append(of.Neighbours, t)
		}
		s.Rows = append(s.Rows, of)
	}
	return s
}

// near says how many neighbours have the class of an image.
func near(image record.PicturedImage) string {
	if same, all := image.Agreement(); all > 0 {
		return fmt.Sprintf("nearest training images: %d of %d of its class", same, all)
	}
	return "nearest training images"
}

func imageAlt(p *history.Pictures, image record.PicturedImage) string {
	text := fmt.Sprintf("%s %d", strings.TrimSuffix(p.Kind(), "s"), image.Sample)
	if image.Class != "" {
		text += ", " + image.Name()
	}
	return text
}

func componentsAlt(image record.PicturedImage, encoder string, depth int, c record.Components) string {
	return fmt.Sprintf("%s, %s, depth %d: %s", image.Name(), encoder, depth, c)
}

// Galleries are the deepest components of all runs by data set, of data sets with several runs.
func (r *Report) Galleries() []gallery {
	shown := r.shownPictures()
	var all []gallery
	var firsts []*history.Run
	for _, run := range r.Runs {
		i, ok := shown[run]
		if !ok {
			continue
		}
		at := slices.IndexFunc(firsts, func(first *history.Run) bool { return samePictured(first, run) })
		if at < 0 {
			at = len(all)
			firsts = append(firsts, run)
			g := gallery{Data: run.Setting("Data")}
			for row, image := range run.Pictures.Images {
				t := newTile(sheetClass("c", i), run.Pictures.Components, row, 0, imageAlt(run.Pictures, image))
				t.Word = image.Name()
				g.Images = append(g.Images, t)
			}
			all = append(all, g)
		}
		all[at].Rows = append(all[at].Rows, newGalleryRow(run, i, false))
	}
	for k, first := range firsts {
		all[k].Rows = append(all[k].Rows, newGalleryRow(first, shown[first], true))
	}
	return slices.DeleteFunc(all, func(g gallery) bool { return len(g.Rows) < 3 })
}

// samePictured says whether the pictures of two runs show the same images.
func samePictured(a, b *history.Run) bool {
	return a.Record.Fingerprint == b.Record.Fingerprint && slices.EqualFunc(a.Pictures.Images, b.Pictures.Images,
		func(x, y record.PicturedImage) bool { return x.Sample == y.Sample && x.Class == y.Class })
}

// newGalleryRow is the deepest depth of a run's teacher, or of its untrained encoder.
func newGalleryRow(run *history.Run, i int, untrained bool) galleryRow {
	p := run.Pictures
	last := len(p.Depths) - 1
	d := p.Depths[last]
	row, encoder, c, column := galleryRow{Name: run.Name, Run: run.Name}, "teacher of "+run.Name, d.Teacher, 1+last
	if untrained {
		row, encoder, c, column = galleryRow{Name: "untrained"}, "untrained encoder of "+run.Name, d.Untrained, 1+len(p.Depths)+last
	}
	for k, image := range p.Images {
		row.Tiles = append(row.Tiles, newTile(sheetClass("c", i), p.Components, k, column, componentsAlt(image, encoder, d.Depth, c)))
	}
	return row
}

// pictureImages are the sheets of a run that has pictures, as files of the report.
func pictureImages(run *history.Run) []image {
	p := run.Pictures
	file := func(sheet, alt string, data []byte) image {
		return image{sheet + "-" + fileName(run.Name) + ".jpg", run.Name + ": " + alt, func(w io.Writer) error {
			_, err := w.Write(data)
			return err
		}}
	}
	all := []image{file("components", p.ComponentsAlt(), p.ComponentsJPEG)}
	if p.Neighbours != nil {
		all = append(all, file("neighbours", p.NeighboursAlt(), p.NeighboursJPEG))
	}
	return all
}
