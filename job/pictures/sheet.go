package pictures

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"slices"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"github.com/cijepa/cijepa/job/record"
)

// Drawing is a sheet and its bytes.
type Drawing struct {
	record.Sheet
	JPEG []byte
}

// Sizes in pixels, and in bytes the most of each sheet. A run stores a sheet twice, the second time
// for TensorBoard, and stays below 400 kB with both.
const (
	componentsTile = 112
	neighboursTile = 64
	maxComponents  = 125_000
	maxNeighbours  = 70_000
	gap            = 16 // with it tiles begin where JPEG's blocks of 16 pixels do, so colours do not run
	textSize       = 17
	baseline       = 24 // of the first line of a heading
	line           = 29 // between two baselines
	frame          = 4
	top            = 64 // two lines of heading
)

var (
	paper     = color.RGBA{255, 255, 255, 255}
	ink       = color.RGBA{0x33, 0x33, 0x33, 255}
	agreeing  = color.RGBA{0x00, 0x72, 0xb2, 255} // blue and vermilion of Okabe and Ito, for all kinds of colour vision
	differing = color.RGBA{0xd5, 0x5e, 0x00, 255}
)

// Depth is one depth of both encoders.
type Depth struct {
	Depth              int
	Teacher, Untrained Maps
}

// Components draws a row for each image: the image, the teacher by depth, the untrained encoder by
// depth.
func Components(images Images, depths []Depth) (Drawing, error) {
	grid := depths[0].Teacher.Side
	times := max(componentsTile/grid, 1)
	if times > 8 {
		times -= times % 8 // whole blocks of JPEG
	}
	s, err := newSheet(images.Len(), 1+2*len(depths), min(grid*times, componentsTile))
	if err != nil {
		return Drawing{}, err
	}
	s.write(0, 1, "image")
	for i, encoder := range []string{"teacher", "untrained"} {
		first := 1 + i*len(depths)
		s.write(first, 0, encoder)
		s.rule(first, first+len(depths)-1)
		for k, d := range depths {
			s.write(first+k, 1, fmt.Sprintf("depth %d", d.Depth))
			maps := d.Teacher.Images
			if i == 1 {
				maps = d.Untrained.Images
			}
			for row := range images.Len() {
				s.tile(row, first+k, maps.Side, maps.Of(row), draw.NearestNeighbor)
			}
		}
	}
	for row := range images.Len() {
		s.tile(row, 0, images.Side, images.Of(row), draw.CatmullRom)
	}
	return s.encode(record.ComponentsFile, maxComponents)
}

// Mark says whether a neighbour has the class of its image.
type Mark int

// The marks: a frame in blue, one in vermilion, none.
const (
	Unknown Mark = iota
	Agrees
	Differs
)

// Neighbours draws a row for each image: the image, and the images that are nearest, with a mark
// each. neighbours and marks have the same number for each row.
func Neighbours(images, neighbours Images, marks []Mark) (Drawing, error) {
	each := neighbours.Len() / images.Len()
	s, err := newSheet(images.Len(), 1+each, neighboursTile)
	if err != nil {
		return Drawing{}, err
	}
	words := []string{"nearest training images", ""}
	if slices.Contains(marks, Agrees) || slices.Contains(marks, Differs) {
		words[1] = "blue: of its class, orange: of another"
	}
	s.write(0, 1, "image")
	for line, word := range words {
		s.write(1, line, word)
	}
	for row := range images.Len() {
		s.tile(row, 0, images.Side, images.Of(row), draw.CatmullRom)
		for i := range each {
			switch marks[row*each+i] {
			case Agrees:
				s.frame(row, 1+i, agreeing)
			case Differs:
				s.frame(row, 1+i, differing)
			}
			s.tile(row, 1+i, neighbours.Side, neighbours.Of(row*each+i), draw.CatmullRom)
		}
	}
	return s.encode(record.NeighboursFile, maxNeighbours)
}

// sheet is a drawing in the making.
type sheet struct {
	record.Sheet
	picture *image.RGBA
	face    font.Face // of the headings
}

func newSheet(rows, columns, tile int) (*sheet, error) {
	parsed, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return nil, fmt.Errorf("reading the font of the headings: %w", err)
	}
	face, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: textSize, DPI: 72})
	if err != nil {
		return nil, fmt.Errorf("reading the font of the headings: %w", err)
	}
	between := gap + (16-tile%16)%16
	s := &sheet{Sheet: record.Sheet{Tile: tile, Gap: between, Top: top}, face: face}
	s.Width, s.Height = between+columns*(tile+between), top+rows*(tile+between)
	s.picture = image.NewRGBA(image.Rect(0, 0, s.Width, s.Height))
	draw.Draw(s.picture, s.picture.Bounds(), image.NewUniform(paper), image.Point{}, draw.Src)
	return s, nil
}

// place is the square of a tile.
func (s *sheet) place(row, column int) image.Rectangle {
	x, y := s.At(row, column)
	return image.Rect(x, y, x+s.Tile, y+s.Tile)
}

// tile scales an image of bytes [side, side, 3] to its tile.
func (s *sheet) tile(row, column, side int, pixels []byte, scaler draw.Scaler) {
	from := image.NewRGBA(image.Rect(0, 0, side, side))
	for i := range side * side {
		copy(from.Pix[i*4:], pixels[i*3:i*3+3])
		from.Pix[i*4+3] = 255
	}
	if side > s.Tile {
		scaler = draw.CatmullRom
	}
	scaler.Scale(s.picture, s.place(row, column), from, from.Bounds(), draw.Src, nil)
}

// frame draws the frame of a tile, which the tile then covers but for its edge.
func (s *sheet) frame(row, column int, c color.Color) {
	draw.Draw(s.picture, s.place(row, column).Inset(-frame), image.NewUniform(c), image.Point{}, draw.Src)
}

// rule draws a line below the first line of the heading, over some columns.
func (s *sheet) rule(first, last int) {
	from, to := s.place(0, first), s.place(0, last)
	draw.Draw(s.picture, image.Rect(from.Min.X, baseline+6, to.Max.X, baseline+7), image.NewUniform(ink), image.Point{}, draw.Src)
}

// write writes a word above a column, in the first or the second line of the heading.
func (s *sheet) write(column, row int, word string) {
	d := font.Drawer{Dst: s.picture, Src: image.NewUniform(ink), Face: s.face, Dot: fixed.P(s.place(0, column).Min.X, baseline+row*line)}
	d.DrawString(word)
}

// encode makes the file, in the best quality whose bytes are no more than most.
func (s *sheet) encode(name string, most int) (Drawing, error) {
	for _, quality := range []int{92, 88, 84, 80, 75, 70, 60, 50, 40, 30, 20} {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, s.picture, &jpeg.Options{Quality: quality}); err != nil {
			return Drawing{}, fmt.Errorf("drawing %s: %w", name, err)
		}
		if b.Len() > most {
			continue
		}
		sum := sha256.Sum256(b.Bytes())
		s.File, s.SHA256 = name, hex.EncodeToString(sum[:])
		return Drawing{s.Sheet, b.Bytes()}, nil
	}
	return Drawing{}, fmt.Errorf("drawing %s: it has more than %d bytes in every quality", name, most)
}
