package record

import (
	"fmt"
	"strings"
)

// Pictures are drawings of a few images as the teacher and the untrained encoder see
// them, and the figures that go with them. Runs on one data set show the same images.
type Pictures struct {
	Split      string          `json:"split"`                // of the images: val, or train of data without a val split
	Components Sheet           `json:"components"`           // a row an image: it, the teacher at Depths, the untrained encoder at Depths
	Neighbours *Sheet          `json:"neighbours,omitempty"` // a row an image: it, its nearest training images; nil: there was no kNN
	Images     []PicturedImage `json:"images"`
	Depths     []PicturedDepth `json:"depths"`
}

// The files of the pictures, in the folder of the run.
const (
	ComponentsFile = "components.jpg"
	NeighboursFile = "neighbours.jpg"
)

// Sheet is a JPEG file beside the result: rows and columns of square tiles below a heading.
type Sheet struct {
	File   string `json:"file"` // in the folder of the run
	SHA256 string `json:"sha256"`
	Width  int    `json:"width"` // pixels, as all lengths
	Height int    `json:"height"`
	Tile   int    `json:"tile"` // side of a tile
	Gap    int    `json:"gap"`  // between tiles, and before the first column
	Top    int    `json:"top"`  // of the first row
}

// Sheets are the sheets that there are.
func (p *Pictures) Sheets() []Sheet {
	if p.Neighbours == nil {
		return []Sheet{p.Components}
	}
	return []Sheet{p.Components, *p.Neighbours}
}

// At is the upper left corner of a tile.
func (s Sheet) At(row, column int) (x, y int) {
	return s.Gap + column*(s.Tile+s.Gap), s.Top + row*(s.Tile+s.Gap)
}

// PicturedImage is an image of the pictures.
type PicturedImage struct {
	Sample     int         `json:"sample"`               // its number in the split, in the order of the shards
	Class      string      `json:"class,omitempty"`      // empty: it has no label
	Neighbours []Neighbour `json:"neighbours,omitempty"` // the nearest first
}

// Neighbour is a training image that is near an image by the features of the kNN.
type Neighbour struct {
	Sample     int     `json:"sample"` // its number in the split, in the order of the shards
	Class      string  `json:"class,omitempty"`
	Similarity float64 `json:"similarity"` // cosine
}

// Agrees says whether a neighbour has the class of the image. known is false if one has no label.
func (i PicturedImage) Agrees(n Neighbour) (same, known bool) {
	return i.Class == n.Class, i.Class != "" && n.Class != ""
}

// PicturedDepth is a depth of both encoders.
type PicturedDepth struct {
	Depth     int        `json:"depth"`
	Teacher   Components `json:"teacher"`
	Untrained Components `json:"untrained"`
}

// Components are the first three principal components of the tokens of all pictured images.
type Components struct {
	Shares  []float64 `json:"variance"` // share of the tokens' variance, 0 to 1
	Follows []string  `json:"follows"`  // the field that each follows most, see below; empty: none
	R       []float64 `json:"r"`        // correlation with that field; below 0 only where the sign is that of the next deeper depth
}

// The fields of the images that set the signs of components.
const (
	Brightness = "brightness" // of a patch
	Midtones   = "midtones"   // nearness of its brightness to the middle between black and white
	Contrast   = "contrast"   // of the pixels of a patch
	Warmth     = "warmth"     // red less blue
	Centre     = "centre"     // nearness to the centre of the image
	Height     = "height"     // nearness to its upper edge
)

// String says how much of the variance the components hold and what each follows.
func (c Components) String() string {
	shares, follows := c.words()
	return fmt.Sprintf("%s of the variance, following %s", shares, follows)
}

// Figures is String for the cell of a table.
func (c Components) Figures() string {
	shares, follows := c.words()
	return shares + "; " + follows
}

func (c Components) words() (shares, follows string) {
	var percent, fields []string
	for i, s := range c.Shares {
		percent = append(percent, fmt.Sprintf("%.0f", 100*s))
		if i < len(c.Follows) && i < len(c.R) && c.Follows[i] != "" {
			fields = append(fields, fmt.Sprintf("%s %.2f", Printable(c.Follows[i]), c.R[i]))
		} else {
			fields = append(fields, "nothing")
		}
	}
	return strings.Join(percent, " + ") + " %", strings.Join(fields, ", ")
}

// ComponentsNote says how the components are drawn, for those who see them.
func (*Pictures) ComponentsNote() string { return componentsNote }

const componentsNote = "Red, green and blue are the first three principal components of the patch tokens, taken over all images of a depth together, " +
	"each from its 1st to its 99th percentile. A component has no sign of its own: at the deepest depth it rises with what it follows most (r) of brightness, " +
	"midtones, contrast, warmth, and nearness to the centre and to the top of the image; at another depth it rises with that of the next deeper one if both mark " +
	"the same patches."

// ComponentsAlt says what the sheet of components shows, for those who do not see it.
func (p *Pictures) ComponentsAlt() string {
	var names, depths []string
	for _, i := range p.Images {
		names = append(names, i.Name())
	}
	var deepest PicturedDepth
	for _, d := range p.Depths {
		depths, deepest = append(depths, fmt.Sprint(d.Depth)), d
	}
	return fmt.Sprintf("%d %s (%s), each beside the first three principal components of its patch tokens as red, green and blue, "+
		"at depth %s of the teacher and then of the untrained encoder. Depth %d: teacher %s; untrained %s.",
		len(p.Images), p.Kind(), strings.Join(names, ", "), strings.Join(depths, ", "), deepest.Depth, deepest.Teacher, deepest.Untrained)
}

// NeighboursNote says what the sheet of neighbours is, for those who see it.
func (p *Pictures) NeighboursNote() string {
	note := "Each image and the training images that are nearest to it by the teacher's deepest features (cosine), the nearest first"
	if same, all := p.Agreement(); all > 0 {
		note += fmt.Sprintf(": %d of %d are of its class. A blue frame is one of its class, an orange one of another", same, all)
	}
	return note + "."
}

// NeighboursAlt says what the sheet of neighbours shows, for those who do not see it.
func (p *Pictures) NeighboursAlt() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s, each beside the training images that are nearest by the teacher's deepest features", len(p.Images), p.Kind())
	if same, all := p.Agreement(); all > 0 {
		fmt.Fprintf(&b, ": %d of %d have its class", same, all)
	}
	b.WriteString(".")
	for _, i := range p.Images {
		b.WriteString(" " + i.row())
	}
	return b.String()
}

// Kind is what the images are, in words.
func (p *Pictures) Kind() string {
	if p.Split == "train" {
		return "training images"
	}
	return "validation images"
}

// Agreement counts the neighbours with the class of their image, of those whose class is known.
func (p *Pictures) Agreement() (same, all int) {
	for _, i := range p.Images {
		s, a := i.Agreement()
		same, all = same+s, all+a
	}
	return same, all
}

// Agreement is that of one image.
func (i PicturedImage) Agreement() (same, all int) {
	for _, n := range i.Neighbours {
		if agrees, known := i.Agrees(n); known {
			all++
			if agrees {
				same++
			}
		}
	}
	return same, all
}

// row says what the neighbours of an image are, in a sentence.
func (i PicturedImage) row() string {
	same, all := i.Agreement()
	var others []string
	for _, n := range i.Neighbours {
		if agrees, known := i.Agrees(n); known && !agrees {
			others = append(others, Printable(n.Class))
		}
	}
	switch {
	case len(i.Neighbours) == 0:
		return i.Name() + "."
	case all == 0:
		return fmt.Sprintf("%s: similarity %.2f to %.2f.", i.Name(), i.Neighbours[0].Similarity, i.Neighbours[len(i.Neighbours)-1].Similarity)
	case len(others) == 0:
		return fmt.Sprintf("%s: %d of %d.", i.Name(), same, all)
	}
	return fmt.Sprintf("%s: %d of %d, and %s.", i.Name(), same, all, strings.Join(others, ", "))
}

// Name is the class of an image, or its number if it has none.
func (i PicturedImage) Name() string {
	if i.Class == "" {
		return fmt.Sprintf("image %d", i.Sample)
	}
	return Printable(i.Class)
}
