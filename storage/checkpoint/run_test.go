package checkpoint

import (
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// The first record and the first result of a run stay; flushes of two attempts do not collide;
// nothing is written after the result.
func TestRunHasOneRecordAndOneResult(t *testing.T) {
	storagetest.EachKind(t, func(t *testing.T, b *storage.Bucket) {
		ctx := t.Context()
		a, z := OpenRun(b, "test", "pod-a", nil), OpenRun(b, "test", "pod-z", nil)
		for _, r := range []*Run{a, z} {
			if stored, err := r.Begin(ctx, []byte("record of "+r.attempt)); err != nil ||
				string(stored) != "record of "+a.attempt {
				t.Fatalf("Begin gave %q, %v", stored, err)
			}
		}
		for range 2 {
			if err := errors.Join(a.Append(ctx, "steps.jsonl", []byte("{}\n")),
				z.Append(ctx, "steps.jsonl", []byte("{}\n"))); err != nil {
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
		if o, err := a.Put(ctx, "teacher.safetensors", -1, write); err != nil || o.Size != 7 ||
			o.Key != "runs/test/teacher.safetensors" {
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

// Checkpoints without the record of their settings are damage, and not a run that has not begun.
func TestManifestsWithoutARecordAreDamage(t *testing.T) {
	b := storagetest.NewStore(t).Open(storage.Options{})
	run := OpenRun(b, "test", "pod", nil)
	if _, err := run.Record(t.Context()); !errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrCorrupt) {
		t.Fatalf("a run that has not begun: %v", err)
	}
	first, _ := mustRestore(t, b, "first")
	mustCommit(t, first, 1, false)
	_, err := run.Record(t.Context())
	if !errors.Is(err, storage.ErrCorrupt) || errors.Is(err, storage.ErrNotFound) ||
		!strings.Contains(err.Error(), "runs/test/run.json") || !strings.Contains(err.Error(), "put it back") {
		t.Errorf("checkpoints without a record: %v", err)
	}
	if _, err := first.Begin(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if record, err := run.Record(t.Context()); err != nil || string(record) != "{}" {
		t.Errorf("the record is back: %q, %v", record, err)
	}
}

// A run that another attempt begins while Record runs is not damaged.
func TestRecordWrittenMeanwhileIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storagetest.NewStore(t)
		b := store.Open(storage.Options{})
		var slow sync.Once
		store.Plan(func(c storagetest.Call) (fault storagetest.Fault) {
			if c.Op == storagetest.List && strings.Contains(c.Key, "manifest") {
				slow.Do(func() { fault = storagetest.Slow })
			}
			return fault
		})
		var other sync.WaitGroup
		other.Go(func() {
			time.Sleep(time.Second)
			r, _ := mustRestore(t, b, "other")
			if _, err := r.Begin(t.Context(), []byte("{}")); err != nil {
				t.Error(err)
			}
			mustCommit(t, r, 1, false)
		})
		record, err := OpenRun(b, "test", "pod", nil).Record(t.Context())
		if other.Wait(); err != nil || string(record) != "{}" {
			t.Errorf("%q, %v", record, err)
		}
	})
}

// Record names the right that is missing and none that is granted.
func TestRecordNamesTheMissingRight(t *testing.T) {
	rights := map[storagetest.Op]string{storagetest.Write: "s3:PutObject", storagetest.Read: "s3:GetObject",
		storagetest.List: "s3:ListBucket"}
	for _, fault := range []storagetest.Fault{storagetest.Denied, storagetest.DeniedAsMissing} {
		for refused := range rights {
			synctest.Test(t, func(t *testing.T) {
				store := storagetest.NewStore(t)
				b := store.Open(storage.Options{})
				store.Plan(storagetest.Always(fault, refused))
				_, err := OpenRun(b, "test", "pod", nil).Record(t.Context())
				if !errors.Is(err, storage.ErrDenied) {
					t.Fatalf("%s of %s: %v", fault, refused, err)
				}
				for op, right := range rights {
					if strings.Contains(err.Error(), right) != (op == refused) {
						t.Errorf("%s of %s: wrong advice: %v", fault, refused, err)
					}
				}
			})
		}
	}
}

// A record that the store falsely calls missing, once, is found, and so is the result.
func TestFalselyMissingRecordIsAskedForAgain(t *testing.T) {
	store := storagetest.NewStore(t)
	b := store.Open(storage.Options{})
	r := OpenRun(b, "test", "pod", nil)
	if _, err := r.Begin(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := r.Finish(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func() ([]byte, error){
		"run.json":    func() ([]byte, error) { return r.Record(t.Context()) },
		"result.json": func() ([]byte, error) { return r.Result(t.Context()) },
	} {
		missing := 0
		store.Plan(func(c storagetest.Call) storagetest.Fault {
			if c.Op == storagetest.Read && strings.HasSuffix(c.Key, name) && missing == 0 {
				missing++
				return storagetest.Missing
			}
			return storagetest.None
		})
		if text, err := read(); err != nil || string(text) != "{}" || missing != 1 {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}
