package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/cijepa/cijepa/storage/storagetest"
)

// A network that is slow, thin, resets connections or cuts them costs time, not data.
func TestBadNetwork(t *testing.T) {
	if storage.long() == 0 {
		t.Skip("only with CIJEPA_TEST_LONG")
	}
	server := storagetest.Start(t, storagetest.S3, "")
	network := storagetest.StartToxiproxy(t, server)
	b := openTest(t, server.URLThrough(network.Address), storage.steady(t))
	large := storage.randomBytes(17 << 20)
	for name, bad := range map[string]struct {
		kind       string
		streams    []string
		share      float64
		attributes map[string]any
		size       int
	}{
		"latency of 2 s":     {"latency", []string{"upstream", "downstream"}, 1, map[string]any{"latency": 2000}, 1 << 20},
		"10 KB/s":            {"bandwidth", []string{"upstream", "downstream"}, 1, map[string]any{"rate": 10}, 60_000},
		"30 % resets":        {"reset_peer", []string{"downstream"}, 0.3, map[string]any{"timeout": 0}, 1 << 20},
		"cut after 5 MB":     {"limit_data", []string{"downstream"}, 1, map[string]any{"bytes": 5_000_000}, len(large)},
		"cut of the uploads": {"limit_data", []string{"upstream"}, 0.3, map[string]any{"bytes": 3_000_000}, len(large)},
	} {
		t.Run(name, func(t *testing.T) {
			for _, stream := range bad.streams {
				network.Add(bad.kind, stream, bad.share, bad.attributes)
			}
			defer network.Reset()
			start := time.Now()
			for i := range 3 {
				o, err := b.PutBytes(t.Context(), fmt.Sprintf("%s/%d", bad.kind, i), large[:bad.size])
				if err != nil {
					t.Fatal(err)
				}
				if got, err := storage.readAll(t, b, o); err != nil || !bytes.Equal(got, large[:bad.size]) {
					t.Fatalf("read %d bytes, %v", len(got), err)
				}
				if created, err := b.Create(t.Context(), fmt.Sprintf("%s/record-%d", bad.kind, i), large[:1000]); !created || err != nil {
					t.Fatal(created, err)
				}
			}
			t.Logf("three times %d bytes took %v", bad.size, time.Since(start).Round(time.Millisecond))
		})
	}
}

// The server is killed in the middle of a commit and is back after a while: the commit succeeds, and what was committed before is untouched.
func TestServerIsKilledDuringACommit(t *testing.T) {
	if storage.long() == 0 {
		t.Skip("only with CIJEPA_TEST_LONG")
	}
	server := storagetest.Start(t, storagetest.S3, "")
	b := openTest(t, server.URL(), storage.steady(t))
	r, _ := mustRestore(t, b, "pod")
	mustCommit(t, r, 1, false)

	data := storage.randomBytes(64 << 20)
	halfway := make(chan struct{})
	var once sync.Once
	attempts := 0
	part := Part{Name: "student.safetensors", Size: int64(len(data)), Write: func(w io.Writer) error {
		attempts++
		if _, err := w.Write(data[:len(data)/2]); err != nil {
			return err
		}
		once.Do(func() { close(halfway) })
		time.Sleep(200 * time.Millisecond)
		_, err := w.Write(data[len(data)/2:])
		return err
	}}
	go func() {
		<-halfway
		server.Kill()
		time.Sleep(7 * time.Second) // longer than the driver's own patience
		server.Restart()
	}()
	p, err := r.Commit(t.Context(), "pretrain", 2, false, []Part{part})
	if err != nil || attempts < 2 {
		t.Fatalf("%+v after %d attempts, %v", p, attempts, err)
	}
	steps := 0
	_, err = OpenRun(b, "test", "pod", b.options.Log).Restore(t.Context(), func(c Checkpoint) error {
		if c.Step == 1 {
			return readParts(t)(c)
		}
		steps++
		opened, err := c.Open(part.Name)
		if err != nil {
			return err
		}
		got, err := io.ReadAll(opened)
		if err == nil && !bytes.Equal(got, data) {
			t.Error("other bytes")
		}
		return errors.Join(err, opened.Close())
	})
	if err != nil || steps != 1 {
		t.Errorf("%d loads of step 2, %v", steps, err)
	}
	if _, err := r.loadCheckpoint(t.Context(), r.chain.retained[0], readParts(t)); err != nil {
		t.Errorf("the checkpoint before: %v", err)
	}
}
