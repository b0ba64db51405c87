package checkpoint

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/cijepa/cijepa/storage/storagetest"
)

// The server is killed in the middle of a commit and is back after a while: the commit succeeds, and what was committed before is untouched.
func TestServerIsKilledDuringACommit(t *testing.T) {
	if storagetest.Long() == 0 {
		t.Skip("only with CIJEPA_TEST_LONG")
	}
	server := storagetest.Start(t, storagetest.S3, "")
	b := storagetest.Open(t, server.URL(), storagetest.Options(t))
	r, _ := mustRestore(t, b, "pod")
	mustCommit(t, r, 1, false)

	data := storagetest.RandomBytes(64 << 20)
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
	_, err = OpenRun(b, "test", "pod", storagetest.Log(t)).Restore(t.Context(), func(c Checkpoint) error {
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
