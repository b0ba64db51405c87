package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

func bytesPart(name string, data []byte) Part {
	return Part{Name: name, Size: int64(len(data)), Write: func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}}
}

// testParts returns the parts of a checkpoint. Their content names its step.
func testParts(step int64) []Part {
	return []Part{
		bytesPart("student.safetensors", bytes.Repeat(fmt.Appendf(nil, "student %d ", step), 100)),
		bytesPart("adam/m.safetensors", bytes.Repeat(fmt.Appendf(nil, "moment %d ", step), 50)),
		bytesPart("empty", nil),
	}
}

// readParts returns a load function that checks the content of testParts.
func readParts(t *testing.T) func(Checkpoint) error {
	return func(c Checkpoint) error {
		for _, part := range testParts(c.Step) {
			r, err := c.Open(part.Name)
			if err != nil {
				return err
			}
			got, err := io.ReadAll(r)
			if err := errors.Join(err, r.Close()); err != nil {
				return err
			}
			var want bytes.Buffer
			part.Write(&want)
			if !bytes.Equal(got, want.Bytes()) {
				t.Errorf("part %s of step %d: a load without error gave other bytes", part.Name, c.Step)
			}
		}
		return nil
	}
}

func mustCommit(t *testing.T, r *Run, step int64, keep bool) Position {
	t.Helper()
	p, err := r.Commit(t.Context(), "pretrain", step, keep, testParts(step))
	if err != nil {
		t.Fatalf("commit of step %d: %v", step, err)
	}
	return p
}

func mustRestore(t *testing.T, b *storage.Bucket, attempt string) (*Run, Position) {
	t.Helper()
	r := OpenRun(b, "test", attempt, storagetest.Log(t))
	p, err := r.Restore(t.Context(), readParts(t))
	if err != nil {
		t.Fatal(err)
	}
	return r, p
}

// storedSteps returns the steps whose folders have objects.
func storedSteps(t *testing.T, b *storage.Bucket) []string {
	t.Helper()
	keys, err := b.List(t.Context(), "runs/test/state/")
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	for _, key := range keys {
		steps = append(steps, strings.TrimLeft(strings.Split(key, "-")[1], "0"))
	}
	return slices.Compact(steps)
}

// damage replaces the stored bytes of an object without changing its manifest.
func damage(t *testing.T, b *storage.Bucket, key string, change func([]byte) []byte) {
	t.Helper()
	data, err := b.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.PutBytes(context.Background(), key, change(data)); err != nil {
		t.Fatal(err)
	}
}

func flipBit(data []byte) []byte {
	data[len(data)/2] ^= 4
	return data
}
