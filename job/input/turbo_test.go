//go:build cgo

package input

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/cijepa/cijepa/model/draw"
)

// repeats is how many random cases a test tries: few by default, as many as CIJEPA_CASES says otherwise.
func repeats(t *testing.T, few int) int {
	value := os.Getenv("CIJEPA_CASES")
	if value == "" {
		return few
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// jpegFiles returns all JPEG files of the tests.
func jpegFiles(t testing.TB) []string {
	var all []string
	for _, pattern := range []string{"testdata/golden/*.jpg", "testdata/kinds/*.jpg"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		all = append(all, names...)
	}
	if folder := os.Getenv("CIJEPA_BENCH_IMAGES"); folder != "" {
		names, err := filepath.Glob(filepath.Join(folder, "*.jpg"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, names...)
	}
	return all
}

// TestRegionIsPartOfWhole compares decoding the region of a crop with decoding everything and cutting then.
func TestRegionIsPartOfWhole(t *testing.T) {
	names := jpegFiles(t)
	stream := draw.New(3, "regions")
	for _, name := range names {
		encoded := readFile(t, name)
		d := newDecoder()
		defer d.close()
		width, height, err := d.size(encoded)
		if err != nil {
			t.Fatal(err)
		}
		for range (repeats(t, 1000) + len(names) - 1) / len(names) {
			b := box{width: 1 + stream.IntN(width), height: 1 + stream.IntN(height)}
			b.left, b.top = stream.IntN(width-b.width+1), stream.IntN(height-b.height+1)
			size := 1 + stream.IntN(40)
			if stream.IntN(2) == 0 { // without a resize every pixel counts
				size = min(b.width, b.height)
				b.width, b.height = size, size
			}
			v := view{box: b, width: size, height: size, size: size}
			part, whole := make([]byte, 3*size*size), make([]byte, 3*size*size)
			d.engine.whole = false
			if err := d.cut(encoded, v, part); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			d.engine.whole = true
			if err := d.cut(encoded, v, whole); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !bytes.Equal(part, whole) {
				largest, mean := differences(part, whole)
				t.Fatalf("%s of %dx%d, %+v: mean difference %.3f, largest %d", name, width, height, v, mean, largest)
			}
		}
	}
}

// TestVectorsAreScalar compares the two ways to the same sums on sizes of 1..2000 pixels, up and down.
func TestVectorsAreScalar(t *testing.T) {
	e := newEngine()
	defer e.close()
	stream := draw.New(4, "vectors")
	side := func() int { // small ones are as likely as large ones
		return 1 + stream.IntN([]int{8, 40, 300, 2000}[stream.IntN(4)])
	}
	pixels := noise(stream, 4*2000*2000)
	for range repeats(t, 150) {
		width, height := side(), side()
		v := view{width: side(), height: side(), filter: Filter(stream.IntN(2)), mirrored: stream.IntN(2) == 0}
		v.size = min(v.width, v.height, 1+stream.IntN(300))
		v.x, v.y = stream.IntN(v.width-v.size+1), stream.IntN(v.height-v.size+1)
		e.scalar = false
		got := resized(t, e, pixels, width, height, v)
		e.scalar = true
		want := resized(t, e, pixels, width, height, v)
		if !bytes.Equal(got, want) {
			largest, mean := differences(got, want)
			t.Fatalf("%dx%d to %+v: mean difference %.3f, largest %d", width, height, v, mean, largest)
		}
	}
}
