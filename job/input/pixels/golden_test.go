package pixels

import (
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// goldenFolders returns the folders of images with the pixels of Pillow and torchvision: ours, and
// the one that CIJEPA_GOLDEN_IMAGES names.
func goldenFolders(t testing.TB) []string {
	folders := []string{"testdata/golden"}
	if more := os.Getenv("CIJEPA_GOLDEN_IMAGES"); more != "" {
		folders = append(folders, more)
	}
	return folders
}

// goldenCase is one entry of cases.json.
type goldenCase struct {
	Image                    string
	Left, Top, Width, Height int
	Size                     int
	Filter                   string
	Flip                     bool
	Eval                     *struct{ Resize, Crop int }
	Want                     string
}

// view returns the View of a case on an image of width x height pixels.
func (c goldenCase) view(t *testing.T, width, height int) View {
	if c.Eval != nil {
		crop := EvaluationCrop(c.Eval.Crop)
		if crop.Shorter != c.Eval.Resize {
			t.Fatalf("EvaluationCrop(%d) resizes to %d, want %d", c.Eval.Crop, crop.Shorter, c.Eval.Resize)
		}
		return crop.View(width, height, c.Eval.Crop, nil)
	}
	filter, ok := map[string]Filter{"bilinear": Bilinear, "bicubic": Bicubic}[c.Filter]
	if !ok {
		t.Fatalf("unknown filter %q", c.Filter)
	}
	return View{box: box{c.Left, c.Top, c.Width, c.Height}, width: c.Size, height: c.Size, size: c.Size,
		filter: filter, mirrored: c.Flip}
}

// TestGoldenViews compares with the pixels of torchvision's transforms.
func TestGoldenViews(t *testing.T) {
	for _, folder := range goldenFolders(t) {
		var cases []goldenCase
		if err := json.Unmarshal(readFile(t, filepath.Join(folder, "cases.json")), &cases); err != nil {
			t.Fatal(err)
		}
		if len(cases) == 0 {
			t.Fatalf("no cases in %s", folder)
		}
		for _, c := range cases {
			t.Run(c.Want, func(t *testing.T) {
				encoded := readFile(t, filepath.Join(folder, c.Image))
				d := NewDecoder()
				defer d.Close()
				width, height, err := d.Size(encoded)
				if err != nil {
					t.Fatal(err)
				}
				v := c.view(t, width, height)
				got := make([]byte, v.size*v.size*3)
				if err := d.Cut(encoded, v, got); err != nil {
					t.Fatal(err)
				}
				want := readRGB(t, filepath.Join(folder, c.Want))
				compareGolden(t, got, want)
			})
		}
	}
}

// TestGoldenDecoding compares all pixels of JPEG files with Pillow's.
func TestGoldenDecoding(t *testing.T) {
	for _, folder := range goldenFolders(t) {
		files, err := filepath.Glob(filepath.Join(folder, "*.decoded.png"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no decoded images in %s: %v", folder, err)
		}
		for _, file := range files {
			t.Run(filepath.Base(file), func(t *testing.T) {
				encoded := readFile(t, strings.TrimSuffix(file, ".decoded.png")+".jpg")
				compareGolden(t, decodeAll(t, encoded), readRGB(t, file))
			})
		}
	}
}

// TestGoldenFormats compares PNG and WebP files of all kinds, and unusual JPEG files, with Pillow's
// pixels.
func TestGoldenFormats(t *testing.T) {
	const ending = ".decoded.png"
	files, err := filepath.Glob("testdata/kinds/*" + ending)
	if err != nil || len(files) == 0 {
		t.Fatalf("no images: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if why := notAsPillow(filepath.Base(file)); why != "" {
				t.Skip(why)
			}
			encoded := readFile(t, strings.TrimSuffix(file, ending))
			got, want := decodeAll(t, encoded), readRGB(t, file)
			if sniff(encoded) == jpegFormat {
				compareGolden(t, got, want)
			} else if !bytes.Equal(got, want) {
				largest, mean := differences(got, want)
				t.Errorf("mean difference %.3f, largest %d", mean, largest)
			}
			width, height, err := Verify(encoded)
			if err != nil || 3*width*height != len(want) {
				t.Errorf("Verify = %d, %d, %v", width, height, err)
			}
		})
	}
}

// decodeAll returns all pixels of an image as RGB triples. It cuts squares without a resize and
// puts them together; the last ones of a row or a column overlap those before them.
func decodeAll(t *testing.T, encoded []byte) []byte {
	d := NewDecoder()
	defer d.Close()
	width, height, err := d.Size(encoded)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]byte, width*height*3)
	size := min(width, height)
	tile := make([]byte, size*size*3)
	for top := 0; top < height; top += size {
		for left := 0; left < width; left += size {
			b := box{min(left, width-size), min(top, height-size), size, size}
			if err := d.Cut(encoded, View{box: b, width: size, height: size, size: size}, tile); err != nil {
				t.Fatal(err)
			}
			for y := range size {
				copy(all[3*(width*(b.top+y)+b.left):], tile[3*size*y:3*size*(y+1)])
			}
		}
	}
	return all
}

// differences returns the largest and the mean absolute difference of bytes.
func differences(got, want []byte) (largest int, mean float64) {
	sum := 0
	for i := range want {
		d := int(got[i]) - int(want[i])
		d = max(d, -d)
		sum += d
		largest = max(largest, d)
	}
	return largest, float64(sum) / float64(len(want))
}

// readFile returns the bytes of a file.
func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// readRGB reads the pixels of a PNG file as RGB triples, with the standard library alone.
func readRGB(t testing.TB, name string) []byte {
	t.Helper()
	m, err := png.Decode(bytes.NewReader(readFile(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	return rgb(m)
}

func rgb(m image.Image) []byte {
	var out []byte
	b := m.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, b, _ := m.At(x, y).RGBA()
			out = append(out, byte(r>>8), byte(g>>8), byte(b>>8))
		}
	}
	return out
}
