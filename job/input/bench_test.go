//go:build cgo

package input

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/cijepa/cijepa/job/input/pixels"
)

// benchFiles returns the JPEG files of the folder that CIJEPA_BENCH_IMAGES names, which should
// resemble ImageNet's, or those of the tests.
func benchFiles(b *testing.B) [][]byte {
	folder := os.Getenv("CIJEPA_BENCH_IMAGES")
	if folder == "" {
		folder = "pixels/testdata/golden"
	}
	names, err := filepath.Glob(filepath.Join(folder, "*.jpg"))
	if err != nil || len(names) == 0 {
		b.Fatalf("no JPEG files in %s: %v", folder, err)
	}
	var files [][]byte
	for _, name := range names {
		file, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		files = append(files, file)
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

// BenchmarkLoader measures whole batches with one and two workers. The images per CPU-second should
// not depend on the number of workers.
func BenchmarkLoader(b *testing.B) {
	files := benchFiles(b)
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			const batch = 32
			c := Config{Size: 224, Batch: batch, Crop: pixels.PretrainCrop(), Shuffle: true, workers: workers}
			l, err := NewLoader(&fileSource{files}, c)
			if err != nil {
				b.Fatal(err)
			}
			if l.StepsPerEpoch() == 0 {
				b.Skip("needs a batch of files: name a folder in CIJEPA_BENCH_IMAGES")
			}
			b.ReportAllocs()
			begin := cpuTime()
			for _, err := range l.Batches(context.Background(), 0, int64(b.N)) {
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(batch*b.N)/(cpuTime()-begin).Seconds(), "images/cpu-s")
			b.ReportMetric(float64(batch*b.N)/b.Elapsed().Seconds(), "images/s")
		})
	}
}

// fileSource is one shard of files in memory.
type fileSource struct{ files [][]byte }

func (s *fileSource) Samples() []int { return []int{len(s.files)} }

func (s *fileSource) Ahead([]int) {}

func (s *fileSource) View(_ context.Context, _, sample int, f func(string, int, []byte) error) error {
	return f("", 0, slices.Clip(s.files[sample]))
}
