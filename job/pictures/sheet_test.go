package pictures

import (
	"bytes"
	"image"
	"image/jpeg"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/model/draw"
)

// TestTheSameImagesAreChosen: the middles of eight equal parts of a split, or all images; and
// depths with the first and the last.
func TestTheSameImagesAreChosen(t *testing.T) {
	for n, want := range map[int][]int{0: {}, 3: {0, 1, 2}, 8: {0, 1, 2, 3, 4, 5, 6, 7}, 1500: {93, 281, 468, 656, 843, 1031, 1218, 1406}} {
		if d := cmp.Diff(want, Choose(n)); d != "" {
			t.Errorf("of %d: %s", n, d)
		}
	}
	for _, c := range [][2][]int{{{3}, {3}}, {{0, 1, 2, 3}, {0, 1, 2, 3}}, {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, {1, 4, 6, 9, 11}}} {
		if d := cmp.Diff(c[1], Depths(c[0])); d != "" {
			t.Errorf("of %v: %s", c[0], d)
		}
	}
}

// noise are n images of random pixels, which no file holds in few bytes.
func noise(n, side int) Images {
	s := draw.New(3, "noise")
	images := Images{Side: side, Pixels: make([]byte, n*side*side*3)}
	for i := range images.Pixels {
		images.Pixels[i] = byte(s.IntN(256))
	}
	return images
}

// TestSheetsAreBoundedAndDeterministic: the worst images at the most depths make files below 200 kB
// together, so that a run stays below 400 kB with TensorBoard's copy; drawn again they are the
// same.
func TestSheetsAreBoundedAndDeterministic(t *testing.T) {
	images := noise(Shown, 224)
	var depths []Depth
	for d := range mostDepths {
		depths = append(depths, Depth{d, Maps{Images: noise(Shown, 14)}, Maps{Images: noise(Shown, 14)}})
	}
	var before [2][]byte
	for range 2 {
		components, err := Components(images, depths)
		if err != nil {
			t.Fatal(err)
		}
		neighbours, err := Neighbours(images, noise(Shown*Nearest, 224), make([]Mark, Shown*Nearest))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(components.JPEG) + len(neighbours.JPEG); n > 200_000 {
			t.Errorf("the files have %d bytes", n)
		}
		for i, d := range []Drawing{components, neighbours} {
			size, err := jpeg.DecodeConfig(bytes.NewReader(d.JPEG))
			if err != nil || size.Width != d.Width || size.Height != d.Height {
				t.Errorf("%s is %v, and said to be %d x %d: %v", d.File, size, d.Width, d.Height, err)
			}
			if before[i] != nil && !bytes.Equal(before[i], d.JPEG) {
				t.Errorf("%s is another file when it is drawn again", d.File)
			}
			before[i] = d.JPEG
		}
	}
}

// TestTilesLieWhereTheSheetSays, of every grid: the image, the teacher's depths, the untrained
// encoder's; and neighbours in the frames of their marks.
func TestTilesLieWhereTheSheetSays(t *testing.T) {
	flat := func(n, side int, shade byte) Images {
		return Images{Side: side, Pixels: bytes.Repeat([]byte{shade, 0, 255 - shade}, n*side*side)}
	}
	decode := func(d Drawing) image.Image {
		t.Helper()
		picture, err := jpeg.Decode(bytes.NewReader(d.JPEG))
		if err != nil {
			t.Fatal(err)
		}
		return picture
	}
	check := func(d Drawing, picture image.Image, row, column, dx, dy int, want [3]int) {
		t.Helper()
		x, y := d.At(row, column)
		r, g, b, _ := picture.At(x+dx, y+dy).RGBA()
		for i, v := range []uint32{r, g, b} {
			if off := int(v>>8) - want[i]; off < -12 || off > 12 {
				t.Errorf("%s: row %d, column %d is %d %d %d, want %v", d.File, row, column, r>>8, g>>8, b>>8, want)
				return
			}
		}
	}
	for _, grid := range []int{1, 3, 7, 14, 16, 32, 200} {
		d, err := Components(flat(2, 28, 10), []Depth{
			{0, Maps{Images: flat(2, grid, 60)}, Maps{Images: flat(2, grid, 160)}}, {5, Maps{Images: flat(2, grid, 110)}, Maps{Images: flat(2, grid, 210)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		picture := decode(d)
		for column := range 5 {
			shade := 10 + 50*column
			check(d, picture, 1, column, d.Tile-3, d.Tile/2, [3]int{shade, 0, 255 - shade})
		}
	}
	d, err := Neighbours(flat(2, 28, 10), flat(6, 28, 60), []Mark{Agrees, Differs, Unknown, Unknown, Agrees, Differs})
	if err != nil {
		t.Fatal(err)
	}
	picture := decode(d)
	check(d, picture, 1, 3, 30, 30, [3]int{60, 0, 195})
	check(d, picture, 1, 2, -2, 30, [3]int{0x00, 0x72, 0xb2})
	check(d, picture, 1, 3, -2, 30, [3]int{0xd5, 0x5e, 0x00})
	check(d, picture, 1, 1, -2, 30, [3]int{255, 255, 255})
}
