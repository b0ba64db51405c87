//go:build cgo

package pixels

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	xdraw "golang.org/x/image/draw"

	"github.com/cijepa/cijepa/model/draw"
)

// benchFiles returns the JPEG files of the folder that CIJEPA_BENCH_IMAGES names, which should
// resemble ImageNet's, or those of testdata/golden.
func benchFiles(b *testing.B) [][]byte {
	folder := os.Getenv("CIJEPA_BENCH_IMAGES")
	if folder == "" {
		folder = "testdata/golden"
	}
	names, err := filepath.Glob(filepath.Join(folder, "*.jpg"))
	if err != nil || len(names) == 0 {
		b.Fatalf("no JPEG files in %s: %v", folder, err)
	}
	var files [][]byte
	for _, name := range names {
		files = append(files, readFile(b, name))
	}
	return files
}

// cpuTime returns the CPU time of the process, which other programs on the machine disturb less
// than the wall-clock time.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkMethods compares ways to make a training image, over the same files and boxes. It
// reports each one's images per CPU-second and its time relative to ours, from the best round of
// each file: run it with -benchtime 5x or more. A method goes over all files before the next one
// starts, because caches and branch predictors learn a file.
func BenchmarkMethods(b *testing.B) {
	files := benchFiles(b)
	d := NewDecoder()
	defer d.Close()
	out := make([]byte, 224*224*3)
	crop := PretrainCrop()
	crop.Flip = true
	views := make([]View, len(files))
	for i, file := range files {
		width, height, err := d.Size(file)
		if err != nil {
			b.Fatal(err)
		}
		views[i] = crop.View(width, height, 224, draw.New(1, "benchmark", uint64(i)))
	}
	ours := func(i int) error {
		v := views[i]
		v.filter = Bicubic
		return d.Cut(files[i], v, out)
	}
	methods := [...]struct {
		name string
		run  func(i int) error
	}{
		{"ours", func(i int) error {
			if _, _, err := d.Size(files[i]); err != nil {
				return err
			}
			return ours(i)
		}},
		{"bilinear", func(i int) error { return d.Cut(files[i], views[i], out) }},
		{"scalar", func(i int) error {
			d.codec.scalar = true
			defer func() { d.codec.scalar = false }()
			return ours(i)
		}},
		{"whole", func(i int) error {
			d.codec.whole = true
			defer func() { d.codec.whole = false }()
			return ours(i)
		}},
		{"decode", func(i int) error { return d.codec.verify(files[i]) }},
		{"standard", func(i int) error { return standardView(files[i], views[i]) }},
	}
	best := make([][]time.Duration, len(methods))
	for m := range best {
		best[m] = slices.Repeat([]time.Duration{time.Hour}, len(files))
	}
	for b.Loop() {
		for m, method := range methods {
			for i := range files {
				begin := cpuTime()
				if err := method.run(i); err != nil {
					b.Fatal(err)
				}
				best[m][i] = min(best[m][i], cpuTime()-begin)
			}
		}
	}
	var used [len(methods)]float64
	for m, method := range methods {
		for _, t := range best[m] {
			used[m] += t.Seconds()
		}
		b.ReportMetric(float64(len(files))/used[m], method.name+"/cpu-s")
		if m > 0 {
			b.ReportMetric(used[m]/used[0], "x"+method.name)
		}
	}
}

// standardView makes a view with image/jpeg and golang.org/x/image/draw, as a program without this
// package would.
func standardView(file []byte, v View) error {
	m, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		return err
	}
	box := image.Rect(v.box.left, v.box.top, v.box.left+v.box.width, v.box.top+v.box.height)
	to := image.NewRGBA(image.Rect(0, 0, v.size, v.size))
	xdraw.CatmullRom.Scale(to, to.Rect, m, box, xdraw.Src, nil)
	for y := range v.size {
		row := to.Pix[to.Stride*y : to.Stride*(y+1)]
		for x := 0; v.mirrored && x < v.size/2; x++ {
			for c := range 4 {
				i, j := 4*x+c, 4*(v.size-1-x)+c
				row[i], row[j] = row[j], row[i]
			}
		}
	}
	return nil
}

// BenchmarkCrops measures the views of each phase.
func BenchmarkCrops(b *testing.B) {
	files := benchFiles(b)
	for _, phase := range []struct {
		name string
		crop Crop
	}{{"pretrain", PretrainCrop()}, {"probe", ProbeCrop()}, {"evaluation", EvaluationCrop(224)}} {
		b.Run(phase.name, func(b *testing.B) {
			d := NewDecoder()
			defer d.Close()
			out := make([]byte, 224*224*3)
			b.ReportAllocs()
			begin, i := cpuTime(), 0
			for b.Loop() {
				file := files[i%len(files)]
				width, height, err := d.Size(file)
				if err != nil {
					b.Fatal(err)
				}
				stream := draw.New(1, "crop", 0, uint64(i))
				if err := d.Cut(file, phase.crop.View(width, height, 224, stream), out); err != nil {
					b.Fatal(err)
				}
				i++
			}
			b.ReportMetric(float64(i)/(cpuTime()-begin).Seconds(), "images/cpu-s")
		})
	}
}

// BenchmarkSmall measures the demonstration's images: gray PNG files of 28 x 28 pixels.
func BenchmarkSmall(b *testing.B) {
	var file bytes.Buffer
	m := image.NewGray(image.Rect(0, 0, 28, 28))
	stream := draw.New(1, "noise")
	for i := range m.Pix {
		m.Pix[i] = byte(stream.IntN(256))
	}
	if err := png.Encode(&file, m); err != nil {
		b.Fatal(err)
	}
	d := NewDecoder()
	defer d.Close()
	out := make([]byte, 28*28*3)
	b.ReportAllocs()
	begin, i := cpuTime(), 0
	for b.Loop() {
		width, height, err := d.Size(file.Bytes())
		if err != nil {
			b.Fatal(err)
		}
		stream := draw.New(1, "crop", 0, uint64(i))
		if err := d.Cut(file.Bytes(), PretrainCrop().View(width, height, 28, stream), out); err != nil {
			b.Fatal(err)
		}
		i++
	}
	b.ReportMetric(float64(i)/(cpuTime()-begin).Seconds(), "images/cpu-s")
}
