package checkpoint

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// Of two attempts that restored the same checkpoint only one can commit. The other stays overtaken.
func TestSecondWriterIsOvertaken(t *testing.T) {
	storagetest.EachKind(t, func(t *testing.T, b *storage.Bucket) {
		first, _ := mustRestore(t, b, "pod-a")
		second, _ := mustRestore(t, b, "pod-b")
		mustCommit(t, first, 1, false)
		for range 2 { // it stays overtaken
			if _, err := second.Commit(t.Context(), "pretrain", 1, false, testParts(1)); !errors.Is(err,
				storage.ErrOvertaken) {
				t.Fatalf("got %v, want ErrOvertaken", err)
			}
		}
		mustCommit(t, first, 2, false)
		if _, p := mustRestore(t, b, "pod-c"); p.Step != 2 {
			t.Errorf("restored step %d, want 2", p.Step)
		}
	})
}

// When the server is killed in the middle of a commit and comes back, the commit succeeds and the
// checkpoint before is untouched.
func TestCommitSurvivesAKillOfTheServer(t *testing.T) {
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
		time.Sleep(7 * time.Second) // longer than the driver's own retries
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
