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

	_ "gocloud.dev/blob/fileblob"
	_ "gocloud.dev/blob/memblob"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

func bytesPart(name string, data []byte) Part {
	return Part{Name: name, Size: int64(len(data)), Write: func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}}
}

// testParts are the parts of a checkpoint whose content tells its step.
func testParts(step int64) []Part {
	return []Part{
		bytesPart("student.safetensors", bytes.Repeat(fmt.Appendf(nil, "student %d ", step), 100)),
		bytesPart("adam/m.safetensors", bytes.Repeat(fmt.Appendf(nil, "moment %d ", step), 50)),
		bytesPart("empty", nil),
	}
}

// readParts is a load function that checks the content of testParts.
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

func TestRunGoesOnWhereItStopped(t *testing.T) {
	storagetest.EachKind(t, func(t *testing.T, b *storage.Bucket) {
		r := OpenRun(b, "test", "pod-a", nil)
		p, err := r.Restore(t.Context(), func(Checkpoint) error { return errors.New("load was called without a checkpoint") })
		if err != nil || p != (Position{}) {
			t.Fatalf("restore of nothing: %+v, %v", p, err)
		}
		for step := int64(10); step <= 50; step += 10 {
			if p := mustCommit(t, r, step, false); p.Sequence != step/10 {
				t.Fatalf("step %d got sequence %d", step, p.Sequence)
			}
		}
		r, p = mustRestore(t, b, "pod-a") // the same pod, restarted
		if want := (Position{"pretrain", 50, 5}); p != want {
			t.Fatalf("restored %+v, want %+v", p, want)
		}
		if p := mustCommit(t, r, 50, false); p.Sequence != 6 {
			t.Fatalf("committed sequence %d, want 6", p.Sequence)
		}
		if n := r.Fallbacks(); n != 0 {
			t.Errorf("%d fallbacks in a run without damage", n)
		}
	})
}

func TestSecondWriterIsOvertaken(t *testing.T) {
	storagetest.EachKind(t, func(t *testing.T, b *storage.Bucket) {
		first, _ := mustRestore(t, b, "pod-a")
		second, _ := mustRestore(t, b, "pod-b")
		mustCommit(t, first, 1, false)
		for range 2 { // it stays overtaken
			if _, err := second.Commit(t.Context(), "pretrain", 1, false, testParts(1)); !errors.Is(err, storage.ErrOvertaken) {
				t.Fatalf("got %v, want ErrOvertaken", err)
			}
		}
		mustCommit(t, first, 2, false)
		if _, p := mustRestore(t, b, "pod-c"); p.Step != 2 {
			t.Errorf("restored step %d, want 2", p.Step)
		}
	})
}

func TestRetentionKeepsThreeAndTheFlagged(t *testing.T) {
	storagetest.EachKind(t, func(t *testing.T, b *storage.Bucket) {
		r, _ := mustRestore(t, b, "pod-a")
		for step := int64(1); step <= 9; step++ {
			mustCommit(t, r, step, step%4 == 0)
			if step == 5 {
				r, _ = mustRestore(t, b, "pod-b") // another attempt lets go of what the first retained
			}
		}
		if got, want := storedSteps(t, b), []string{"4", "7", "8", "9"}; !slices.Equal(got, want) {
			t.Errorf("steps in the bucket: %v, want %v", got, want)
		}
		manifests, err := b.List(t.Context(), "runs/test/manifest/")
		if err != nil || len(manifests) != 9 {
			t.Errorf("%d manifests, want all 9 (%v)", len(manifests), err)
		}
	})
}

// storedSteps lists the steps whose folders have objects.
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

func TestRecordResultAndLogs(t *testing.T) {
	storagetest.EachKind(t, func(t *testing.T, b *storage.Bucket) {
		ctx := t.Context()
		a, z := OpenRun(b, "test", "pod-a", nil), OpenRun(b, "test", "pod-z", nil)
		for _, r := range []*Run{a, z} {
			if stored, err := r.Begin(ctx, []byte("record of "+r.attempt)); err != nil || string(stored) != "record of "+a.attempt {
				t.Fatalf("Begin gave %q, %v", stored, err)
			}
		}
		for range 2 {
			if err := errors.Join(a.Append(ctx, "steps.jsonl", []byte("{}\n")), z.Append(ctx, "steps.jsonl", []byte("{}\n"))); err != nil {
				t.Fatal(err)
			}
		}
		keys, err := b.List(ctx, "runs/test/metrics/")
		if err != nil || len(keys) != 4 || !strings.HasSuffix(keys[0], "-000001.jsonl") {
			t.Errorf("metrics: %v, %v", keys, err)
		}
		if _, err := a.Result(ctx); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("result before the end: %v", err)
		}
		write := func(w io.Writer) error { _, err := io.WriteString(w, "weights"); return err }
		if o, err := a.Put(ctx, "teacher.safetensors", -1, write); err != nil || o.Size != 7 || o.Key != "runs/test/teacher.safetensors" {
			t.Errorf("Put: %+v, %v", o, err)
		}
		if err := errors.Join(a.Finish(ctx, []byte("92 %")), a.Finish(ctx, []byte("92 %"))); err != nil {
			t.Error(err)
		}
		if err := z.Finish(ctx, []byte("91 %")); !errors.Is(err, storage.ErrOvertaken) {
			t.Errorf("second result: %v", err)
		}
		if _, err := z.Put(ctx, "teacher.safetensors", 7, write); !errors.Is(err, storage.ErrOvertaken) {
			t.Errorf("Put after the end: %v", err)
		}
		if got, err := z.Result(ctx); err != nil || string(got) != "92 %" {
			t.Errorf("result %q, %v", got, err)
		}
	})
}

// damage replaces the stored bytes of an object behind the back of its manifest.
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
