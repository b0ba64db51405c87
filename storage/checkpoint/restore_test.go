package checkpoint

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

func flipBit(data []byte) []byte {
	data[len(data)/2] ^= 4
	return data
}

func TestRestoreFallsBackOnDamage(t *testing.T) {
	for name, test := range map[string]struct {
		hurt func(t *testing.T, b *storage.Bucket, keys []string) // keys of checkpoint 3: its manifest first
	}{
		"flipped bit in a part": {func(t *testing.T, b *storage.Bucket, keys []string) { damage(t, b, keys[1], flipBit) }},
		"part cut short": {func(t *testing.T, b *storage.Bucket, keys []string) {
			damage(t, b, keys[1], func(p []byte) []byte { return p[:5] })
		}},
		"part gone":                 {func(t *testing.T, b *storage.Bucket, keys []string) { b.Delete(t.Context(), keys[1]) }},
		"flipped bit in a manifest": {func(t *testing.T, b *storage.Bucket, keys []string) { damage(t, b, keys[0], flipBit) }},
		"empty manifest": {func(t *testing.T, b *storage.Bucket, keys []string) {
			damage(t, b, keys[0], func([]byte) []byte { return nil })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			storagetest.EachKind(t, func(t *testing.T, b *storage.Bucket) {
				r, _ := mustRestore(t, b, "pod-a")
				for step := int64(1); step <= 3; step++ {
					mustCommit(t, r, step, false)
				}
				keys := []string{"runs/test/manifest/000000000003.json"}
				all, err := b.List(t.Context(), "runs/test/state/pretrain-000000000003-")
				if err != nil || len(all) != 3 {
					t.Fatal(all, err)
				}
				keys = append(keys, all...)
				test.hurt(t, b, keys)

				r, p := mustRestore(t, b, "pod-b")
				if p.Step != 2 || r.Fallbacks() != 1 {
					t.Fatalf("restored step %d after %d fallbacks", p.Step, r.Fallbacks())
				}
				for step := int64(3); step <= 9; step++ {
					mustCommit(t, r, step, false)
				}
				// Nobody forgets and nobody counts twice: the manifests name the damaged one, and what is left of the evidence survives retention.
				r, p = mustRestore(t, b, "pod-c")
				if p.Step != 9 || p.Sequence != 10 || r.Fallbacks() != 0 {
					t.Errorf("restored %+v after %d fallbacks", p, r.Fallbacks())
				}
				if d := r.chain.damaged; len(d) != 1 || d[0].Sequence != 3 {
					t.Errorf("damaged checkpoints on record: %+v", d)
				}
				if _, err := b.Get(t.Context(), keys[3]); err != nil {
					t.Errorf("the damaged checkpoint's other part: %v", err)
				}
			})
		})
	}
}

func TestRestoreNeverStartsAfresh(t *testing.T) {
	storagetest.EachKind(t, func(t *testing.T, b *storage.Bucket) {
		r, _ := mustRestore(t, b, "pod-a")
		for step := int64(1); step <= 3; step++ {
			mustCommit(t, r, step, false)
		}
		keys, _ := b.List(t.Context(), "runs/test/state/")
		for _, key := range keys {
			if strings.HasSuffix(key, "student.safetensors") {
				damage(t, b, key, flipBit)
			}
		}
		_, err := OpenRun(b, "test", "pod-b", nil).Restore(t.Context(), readParts(t))
		if !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("three damaged checkpoints: %v", err)
		}
		for _, n := range []string{"1", "2", "3"} {
			damage(t, b, "runs/test/manifest/00000000000"+n+".json", flipBit)
		}
		_, err = OpenRun(b, "test", "pod-b", nil).Restore(t.Context(), readParts(t))
		if !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("three damaged manifests: %v", err)
		}
	})
}

func TestLoadErrorsEndTheRestore(t *testing.T) {
	b := storagetest.Open(t, "mem://", storagetest.Options(t))
	r, _ := mustRestore(t, b, "pod-a")
	mustCommit(t, r, 1, false)
	recipe := errors.New("another recipe")
	calls := 0
	_, err := OpenRun(b, "test", "pod-b", nil).Restore(t.Context(), func(c Checkpoint) error {
		calls++
		if _, err := c.Open("no such part"); !errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("a part that never was: %v", err)
		}
		return recipe
	})
	if !errors.Is(err, recipe) || calls != 1 {
		t.Errorf("%d loads, %v", calls, err)
	}
}

func TestDamageOnTheWireIsReadAgain(t *testing.T) {
	b := storagetest.Open(t, "mem://", storagetest.Options(t))
	r, _ := mustRestore(t, b, "pod-a")
	mustCommit(t, r, 1, false)
	key, healed := "", false
	keys, _ := b.List(t.Context(), "runs/test/state/")
	for _, k := range keys {
		if strings.HasSuffix(k, "student.safetensors") {
			key = k
		}
	}
	damage(t, b, key, flipBit)
	r = OpenRun(b, "test", "pod-b", storagetest.Log(t))
	p, err := r.Restore(t.Context(), func(c Checkpoint) error {
		err := readParts(t)(c)
		if !healed {
			damage(t, b, key, flipBit)
			healed = true
		}
		return err
	})
	if err != nil || p.Step != 1 || r.Fallbacks() != 0 {
		t.Errorf("%+v, %v, %d fallbacks", p, err, r.Fallbacks())
	}
}

// TestRestorePassesOverWhatTheDriverRefuses: bytes that no longer have the checksum that the store keeps of them do not come at all. A bit that flipped on
// the way is another matter: the next try has it right.
func TestRestorePassesOverWhatTheDriverRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storagetest.NewStore(t)
		b := store.Open(storagetest.Options(t))
		r, _ := mustRestore(t, b, "pod-a")
		for step := int64(1); step <= 3; step++ {
			mustCommit(t, r, step, false)
		}
		const newest = "runs/test/manifest/000000000003.json"
		times := 2
		refuse := func(c storagetest.Call) storagetest.Fault {
			if c.Op == storagetest.Read && c.Key == newest && times != 0 {
				times--
				return storagetest.BadSum
			}
			return storagetest.None
		}
		store.Plan(refuse)
		if r, p := mustRestore(t, b, "pod-b"); p.Step != 3 || r.Fallbacks() != 0 {
			t.Errorf("after two flips restored step %d after %d fallbacks", p.Step, r.Fallbacks())
		}
		times = -1 // always
		store.Plan(refuse)
		r, p := mustRestore(t, b, "pod-c")
		if p.Step != 2 || r.Fallbacks() != 1 {
			t.Errorf("restored step %d after %d fallbacks", p.Step, r.Fallbacks())
		}
		store.Plan(func(c storagetest.Call) storagetest.Fault { // nor does a listing that lags behind make it vanish
			if c.Op == storagetest.List {
				return storagetest.Stale
			}
			return refuse(c)
		})
		if r, p := mustRestore(t, b, "pod-e"); p.Step != 2 || r.Fallbacks() != 1 || r.Newest() != 3 {
			t.Errorf("behind a stale listing restored step %d after %d fallbacks, newest %d", p.Step, r.Fallbacks(), r.Newest())
		}
		store.Plan(refuse)
		mustCommit(t, r, 3, false)
		if r, p := mustRestore(t, b, "pod-d"); p.Step != 3 || p.Sequence != 4 || r.Fallbacks() != 0 {
			t.Errorf("restored %+v after %d fallbacks", p, r.Fallbacks())
		}
		if _, err := b.GetTwice(t.Context(), newest); !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("reading it: %v", err)
		}
	})
}

// TestRemainsAreTold: who has deleted the manifests hears of it while the objects are still there.
func TestRemainsAreTold(t *testing.T) {
	b := storagetest.Memory(t)
	var log bytes.Buffer
	warned := func() bool {
		log.Reset()
		r := OpenRun(b, "test", "pod", slog.New(slog.NewTextHandler(&log, nil)))
		if p, err := r.Restore(t.Context(), readParts(t)); err != nil || p.Sequence != 0 {
			t.Fatal(p, err)
		}
		return strings.Contains(log.String(), "put them back")
	}
	if warned() {
		t.Error("a run that begins is warned of nothing")
	}
	r, _ := mustRestore(t, b, "pod-a")
	mustCommit(t, r, 1, false)
	if err := b.Delete(t.Context(), "runs/test/manifest/000000000001.json"); err != nil {
		t.Fatal(err)
	}
	if !warned() {
		t.Errorf("no warning in %q", log.String())
	}
}
