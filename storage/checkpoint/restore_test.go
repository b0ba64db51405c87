package checkpoint

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// A restore skips a damaged checkpoint, counts it once, and keeps its objects as evidence.
func TestRestoreFallsBackOnDamage(t *testing.T) {
	for name, test := range map[string]struct {
		hurt func(t *testing.T, b *storage.Bucket, keys []string) // keys of checkpoint 3: its manifest first
	}{
		"flipped bit in a part": {func(t *testing.T, b *storage.Bucket, keys []string) { damage(t, b, keys[1], flipBit) }},
		"part cut short": {func(t *testing.T, b *storage.Bucket, keys []string) {
			damage(t, b, keys[1], func(p []byte) []byte { return p[:5] })
		}},
		"part gone": {func(t *testing.T, b *storage.Bucket,
			keys []string) {
			b.Delete(t.Context(), keys[1])
		}},
		"flipped bit in a manifest": {func(t *testing.T, b *storage.Bucket,
			keys []string) {
			damage(t, b, keys[0], flipBit)
		}},
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
				// The manifests name the damaged checkpoint, so it is not counted again, and
				// retention leaves the rest of its objects.
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

// If no checkpoint can be loaded, a restore fails.
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

// An error of load that is no damage ends the restore.
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

// A checkpoint that is damaged in its first reading only is loaded.
func TestDamageInTransferIsReadAgain(t *testing.T) {
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

// The driver refuses bytes whose checksum is not the store's own. The next read gets them right if
// a bit flipped in transfer; if none does, the manifest is damaged.
func TestRestoreSkipsWhatTheDriverRefuses(t *testing.T) {
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
			t.Errorf("behind a stale listing restored step %d after %d fallbacks, newest %d", p.Step, r.Fallbacks(),
				r.Newest())
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

// If somebody has deleted the manifests, a restore warns while the objects still exist.
func TestPartsWithoutManifestsAreWarnedOf(t *testing.T) {
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

// A restarted attempt restores the last commit and goes on.
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

// A checkpoint that another attempt deletes during its loading is not damaged: the restore starts
// over with the newest.
func TestRestoreStartsOverWhenAnotherCommits(t *testing.T) {
	b := storagetest.Open(t, "mem://", storagetest.Options(t))
	writer, _ := mustRestore(t, b, "writer")
	mustCommit(t, writer, 1, false)
	step := int64(1)
	r := OpenRun(b, "test", "reader", nil)
	p, err := r.Restore(t.Context(), func(c Checkpoint) error {
		for ; step < 6; step++ {
			mustCommit(t, writer, step+1, false)
		}
		return readParts(t)(c)
	})
	if err != nil || p.Step != 6 || r.Fallbacks() != 0 {
		t.Errorf("%+v, %v, %d fallbacks", p, err, r.Fallbacks())
	}
}

// 2,000 flips of one bit anywhere in a checkpoint or its manifest are found.
func TestEveryFlippedBitOfACheckpointIsFound(t *testing.T) {
	store := storagetest.NewStore(t)
	b := store.Open(storage.Options{})
	r, _ := mustRestore(t, b, "pod")
	mustCommit(t, r, 1, false)
	keys := slices.Sorted(maps.Keys(store.Objects()))
	total := 0
	for _, data := range store.Objects() {
		total += len(data)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		at, bit := random.IntN(total), byte(1)<<random.IntN(8)
		var key string
		for _, key = range keys {
			if n := len(store.Objects()[key]); at >= n {
				at -= n
			} else {
				break
			}
		}
		flip := func(data []byte) []byte { data[at] ^= bit; return data }
		store.Corrupt(key, flip)
		if p, err := OpenRun(b, "test", "pod", nil).Restore(t.Context(), readParts(t)); !errors.Is(err,
			storage.ErrCorrupt) {
			t.Fatalf("%s, byte %d, bit %d: restored %+v, %v", key, at, bit, p, err)
		}
		store.Corrupt(key, flip)
	}
	mustRestore(t, b, "pod")
}

// A restore that may not read fails and does not start from nothing, also if the driver reports a
// refusal as a missing object.
func TestRestoreWithoutTheRightToReadFails(t *testing.T) {
	for _, fault := range []storagetest.Fault{storagetest.Denied, storagetest.DeniedAsMissing} {
		synctest.Test(t, func(t *testing.T) {
			store := storagetest.NewStore(t)
			b := store.Open(storage.Options{})
			store.Plan(storagetest.From(1, fault))
			r := OpenRun(b, "test", "pod", nil)
			if _, err := r.Restore(t.Context(), readParts(t)); !errors.Is(err, storage.ErrDenied) {
				t.Errorf("%s: a run that may not read started afresh: %v", fault, err)
			}
		})
	}
}

// A stray object with a number far above the run's manifests is passed over: it is neither walked
// down from, one request at a time, nor counted as a checkpoint.
func TestStrayManifestNumberIsPassedOver(t *testing.T) {
	for _, number := range []string{"000001000000", "999999999999"} {
		b := storagetest.Memory(t)
		r, _ := mustRestore(t, b, "pod-a")
		for step := int64(1); step <= 3; step++ {
			mustCommit(t, r, step, false)
		}
		if _, err := b.Create(t.Context(), "runs/test/manifest/"+number+".json", []byte("{}")); err != nil {
			t.Fatal(err)
		}
		next, p := mustRestore(t, b, "pod-b")
		if p.Step != 3 || p.Sequence != 3 {
			t.Fatalf("%s: restored %+v, want step 3 of manifest 3", number, p)
		}
		if p := mustCommit(t, next, 4, false); p.Sequence != 4 {
			t.Errorf("%s: committed manifest %d, want 4", number, p.Sequence)
		}
		if _, p := mustRestore(t, b, "pod-c"); p.Sequence != 4 || next.Fallbacks() != 0 {
			t.Errorf("%s: restored %+v after %d fallbacks", number, p, next.Fallbacks())
		}
	}
}

// A run of which nothing but a stray manifest is left never starts from nothing.
func TestLoneStrayManifestIsDamage(t *testing.T) {
	b := storagetest.Memory(t)
	if _, err := b.Create(t.Context(), "runs/test/manifest/999999999999.json", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenRun(b, "test", "pod", nil).Restore(t.Context(), readParts(t)); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("%v", err)
	}
}

// A manifest with a checksum that fits, and names that lead elsewhere, is damage.
func TestManifestThatNamesOtherFoldersIsDamage(t *testing.T) {
	for what, change := range map[string]func(*manifest){
		"folder above":     func(m *manifest) { m.Folder = "state/.." },
		"folder elsewhere": func(m *manifest) { m.Folder = "state/../../other" },
		"folder of none":   func(m *manifest) { m.Folder = "" },
		"part above":       func(m *manifest) { m.Objects[0].Key = ".." },
		"part elsewhere":   func(m *manifest) { m.Objects[0].Key = "../x/student.safetensors" },
		"negative size":    func(m *manifest) { m.Objects[0].Size = -1 },
		"negative step":    func(m *manifest) { m.Step = -1 },
		"retained above":   func(m *manifest) { m.Retained = []retained{{Sequence: 1, Folder: "state/.."}} },
	} {
		b := storagetest.Memory(t)
		r, _ := mustRestore(t, b, "pod-a")
		mustCommit(t, r, 1, false)
		mustCommit(t, r, 2, false)
		m, _, err := r.readManifest(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		m.Sequence, m.Previous = 3, r.chain.checksum
		change(m)
		text, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Create(t.Context(), "runs/test/manifest/000000000003.json", text); err != nil {
			t.Fatal(err)
		}
		if _, p := mustRestore(t, b, "pod-b"); p.Step != 2 {
			t.Errorf("%s: restored %+v, want step 2", what, p)
		}
	}
}
