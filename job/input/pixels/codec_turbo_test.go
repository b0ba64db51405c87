//go:build cgo

package pixels

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cijepa/cijepa/model/draw"
)

// randomCases returns how many random cases a test tries: few, or what CIJEPA_CASES says.
func randomCases(t *testing.T, few int) int {
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

// jpegFiles returns all JPEG files of the tests, and those of CIJEPA_BENCH_IMAGES.
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

// TestRegionEqualsCropOfWholeImage compares decoding a region with decoding everything and cropping
// then.
func TestRegionEqualsCropOfWholeImage(t *testing.T) {
	names := jpegFiles(t)
	stream := draw.New(3, "regions")
	for _, name := range names {
		encoded := readFile(t, name)
		d := NewDecoder()
		defer d.Close()
		width, height, err := d.Size(encoded)
		if err != nil {
			t.Fatal(err)
		}
		for range (randomCases(t, 1000) + len(names) - 1) / len(names) {
			b := box{width: 1 + stream.IntN(width), height: 1 + stream.IntN(height)}
			b.left, b.top = stream.IntN(width-b.width+1), stream.IntN(height-b.height+1)
			size := 1 + stream.IntN(40)
			if stream.IntN(2) == 0 { // without a resize every pixel counts
				size = min(b.width, b.height)
				b.width, b.height = size, size
			}
			v := View{box: b, width: size, height: size, size: size}
			part, whole := make([]byte, 3*size*size), make([]byte, 3*size*size)
			d.codec.whole = false
			if err := d.Cut(encoded, v, part); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			d.codec.whole = true
			if err := d.Cut(encoded, v, whole); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !bytes.Equal(part, whole) {
				largest, mean := differences(part, whole)
				t.Fatalf("%s of %dx%d, %+v: mean difference %.3f, largest %d", name, width, height, v, mean, largest)
			}
		}
	}
}

// TestVectorResizeEqualsScalar on sizes of 1..2000 pixels, enlarged and reduced.
func TestVectorResizeEqualsScalar(t *testing.T) {
	c := newCodec()
	defer c.close()
	stream := draw.New(4, "vectors")
	side := func() int { // small ones are as likely as large ones
		return 1 + stream.IntN([]int{8, 40, 300, 2000}[stream.IntN(4)])
	}
	pixels := noise(stream, 4*2000*2000)
	for range randomCases(t, 150) {
		width, height := side(), side()
		v := View{width: side(), height: side(), filter: Filter(stream.IntN(2)), mirrored: stream.IntN(2) == 0}
		v.size = min(v.width, v.height, 1+stream.IntN(300))
		v.x, v.y = stream.IntN(v.width-v.size+1), stream.IntN(v.height-v.size+1)
		c.scalar = false
		got := resized(t, c, pixels, width, height, v)
		c.scalar = true
		want := resized(t, c, pixels, width, height, v)
		if !bytes.Equal(got, want) {
			largest, mean := differences(got, want)
			t.Fatalf("%dx%d to %+v: mean difference %.3f, largest %d", width, height, v, mean, largest)
		}
	}
}

// TestNoTablesLeakBetweenImages: the tables of one image must not serve another that lacks them.
func TestNoTablesLeakBetweenImages(t *testing.T) {
	whole := readFile(t, "testdata/golden/photo420.jpg")
	without := withoutSegments(whole, 0xc4) // Huffman tables; libjpeg has the standard ones
	bare := withoutSegments(whole, 0xdb)    // quantization tables, which have no standard
	fresh, err := cutWhole(without)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cutWhole(bare); err == nil {
		t.Fatal("an image without quantization tables is decoded")
	}
	d := NewDecoder()
	defer d.Close()
	out := make([]byte, len(fresh))
	v := View{box: box{width: 375, height: 281}, width: 32, height: 32, size: 32}
	other := readFile(t, "testdata/golden/photo444.jpg")
	otherView := View{box: box{width: 250, height: 333}, width: 32, height: 32, size: 32}
	for range 3 {
		// An image with other tables, and an error in between.
		if err := d.Cut(other, otherView, out); err != nil {
			t.Fatal(err)
		}
		if err := d.Cut(bare, v, out); err == nil {
			t.Fatal("an image is decoded with the tables of another")
		}
		if err := d.Cut(without, v, out); err != nil || !bytes.Equal(out, fresh) {
			t.Fatalf("an image comes out differently after others (%v)", err)
		}
	}
}

// withoutSegments removes the segments of a marker from a baseline JPEG file.
func withoutSegments(file []byte, marker byte) []byte {
	out := bytes.Clone(file[:2])
	for at := 2; ; {
		n := 2 + int(file[at+2])<<8 + int(file[at+3])
		if file[at+1] == 0xda {
			return append(out, file[at:]...)
		}
		if file[at+1] != marker {
			out = append(out, file[at:at+n]...)
		}
		at += n
	}
}

// TestLargeImageTakesLittleMemory decodes the largest legal image. Its body is that of a small one,
// so decoding ends early.
func TestLargeImageTakesLittleMemory(t *testing.T) {
	file := withSize(readFile(t, "testdata/golden/photo420.jpg"), 8192, 8192)
	before := residentPeak(t)
	if _, err := cutWhole(file); err == nil {
		t.Error("64 million pixels from a few thousand bytes")
	}
	if grown := residentPeak(t) - before; grown > 16<<20 {
		t.Errorf("the process grew by %d MiB", grown>>20)
	}
}

// residentPeak returns the peak resident size of the process in bytes.
func residentPeak(t *testing.T) int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return usage.Maxrss * 1024
}

// TestDecoderNameIsLibjpegTurbos with its version.
func TestDecoderNameIsLibjpegTurbos(t *testing.T) {
	if name := DecoderName(); !strings.HasPrefix(name, "libjpeg-turbo 2.") && !strings.HasPrefix(name, "libjpeg-turbo 3.") {
		t.Errorf("DecoderName() = %q", name)
	}
}
