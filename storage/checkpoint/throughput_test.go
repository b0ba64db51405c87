package checkpoint

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gocloud.dev/blob"
	"golang.org/x/sync/errgroup"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// pattern makes parts of any size at no cost.
type pattern struct{ block []byte }

func (p pattern) part(name string, size int64) Part {
	return Part{Name: name, Size: size, Write: func(w io.Writer) error {
		for left := size; left > 0; {
			n, err := w.Write(p.block[:min(left, int64(len(p.block)))])
			if err != nil {
				return err
			}
			left -= int64(n)
		}
		return nil
	}}
}

// Saving and loading 3.3 GB, compared with a plain copy of the same bytes with their checksums on
// the same disk, stays within 256 MiB of memory.
func TestCheckpointThroughput(t *testing.T) {
	if storagetest.Long() == 0 {
		t.Skip("only with CIJEPA_TEST_LONG")
	}
	const partSize, partCount = 660_000_000, 5
	p := pattern{storagetest.RandomBytes(1 << 20)}
	var parts []Part
	for i := range partCount {
		parts = append(parts, p.part(fmt.Sprintf("part-%d.safetensors", i), partSize))
	}
	discard := func(c Checkpoint) error {
		for _, part := range parts {
			r, err := c.Open(part.Name)
			if err != nil {
				return err
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				return err
			}
			if err := r.Close(); err != nil {
				return err
			}
		}
		return nil
	}
	gigabytes := float64(partSize*partCount) / 1e9
	rate := func(act func()) float64 {
		start := time.Now()
		act()
		return gigabytes / time.Since(start).Seconds()
	}
	plainSave, plainLoad := plainCopy(t, parts, rate)
	t.Logf("plain copy and sha256: save %.2f GB/s, load %.2f GB/s", plainSave, plainLoad)
	for _, kind := range []string{"file", "versitygw"} {
		t.Run(kind, func(t *testing.T) {
			url := "file://" + t.TempDir()
			if kind != "file" {
				url = storagetest.Start(t, storagetest.S3, "").URL()
			}
			b := storagetest.Open(t, url, storage.Options{})
			r, _ := mustRestore(t, b, "pod")
			before := resetPeakMemory(t)
			save := rate(func() {
				if _, err := r.Commit(t.Context(), "pretrain", 1, false, parts); err != nil {
					t.Fatal(err)
				}
			})
			saveMemory := peakMemory(t) - before
			bare := rate(func() { bareUpload(t, url, parts) })
			before = resetPeakMemory(t)
			load := rate(func() {
				if _, err := OpenRun(b, "test", "pod", nil).Restore(t.Context(), discard); err != nil {
					t.Fatal(err)
				}
			})
			loadMemory := peakMemory(t) - before
			t.Logf("save %.2f GB/s (%.2f of plain, %.2f of the bare driver), %d MiB; load %.2f GB/s (%.2f of plain), %d MiB",
				save, save/plainSave, save/bare, saveMemory>>20, load, load/plainLoad, loadMemory>>20)
			if saveMemory > 256<<20 || loadMemory > 256<<20 {
				t.Error("more than 256 MiB of memory")
			}
		})
	}
}

// bareUpload uploads with the driver's own settings: without our checksum and watchdog, with as
// many parts at once as Commit.
func bareUpload(t *testing.T, url string, parts []Part) {
	b, err := blob.OpenBucket(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var g errgroup.Group
	g.SetLimit(parallelParts)
	for _, part := range parts {
		g.Go(func() error {
			pr, pw := io.Pipe()
			go func() { pw.CloseWithError(part.Write(pw)) }()
			return b.Upload(t.Context(), "bare/"+part.Name, pr,
				&blob.WriterOptions{ContentType: "application/octet-stream"})
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// plainCopy writes the parts to files while hashing them, and reads them back in the same way.
func plainCopy(t *testing.T, parts []Part, rate func(func()) float64) (save, load float64) {
	dir := t.TempDir()
	save = rate(func() {
		for _, part := range parts {
			f, err := os.Create(filepath.Join(dir, part.Name))
			if err != nil {
				t.Fatal(err)
			}
			if err := part.Write(io.MultiWriter(f, sha256.New())); err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
	})
	load = rate(func() {
		for _, part := range parts {
			f, err := os.Open(filepath.Join(dir, part.Name))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyBuffer(struct{ io.Writer }{sha256.New()}, struct{ io.Reader }{f},
				make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
			f.Close()
			os.Remove(f.Name())
		}
	})
	return save, load
}

// resetPeakMemory makes the kernel forget this process's peak and returns its resident memory.
func resetPeakMemory(t *testing.T) int64 {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Skipf("the kernel does not tell peak memory: %v", err)
	}
	return peakMemory(t)
}

func peakMemory(t *testing.T) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	var kilobytes int64
	if _, err := fmt.Sscan(after, &kilobytes); err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}
