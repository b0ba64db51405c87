package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// The newest three checkpoints and those committed with keep stay; all manifests stay.
func TestRetentionKeepsThreeAndTheKept(t *testing.T) {
	storagetest.EachKind(t, func(t *testing.T, b *storage.Bucket) {
		r, _ := mustRestore(t, b, "pod-a")
		for step := int64(1); step <= 9; step++ {
			mustCommit(t, r, step, step%4 == 0)
			if step == 5 {
				r, _ = mustRestore(t, b, "pod-b") // another attempt drops what the first retained
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

// Objects of a commit that never happened are deleted after a day, and not before.
func TestOrphansAreDeletedAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storagetest.NewStore(t)
		b := store.Open(storage.Options{RetryTimeout: time.Minute})
		dead, _ := mustRestore(t, b, "dead")
		mustCommit(t, dead, 1, false)
		store.Plan(func(c storagetest.Call) storagetest.Fault {
			if c.Conditional {
				return storagetest.Refused
			}
			return storagetest.None
		})
		if _, err := dead.Commit(t.Context(), "pretrain", 2, false, testParts(2)); !errors.Is(err, storage.ErrUnreachable) {
			t.Fatal(err)
		}
		store.Plan(nil)
		heir, _ := mustRestore(t, b, "heir")
		for _, x := range []struct {
			wait time.Duration
			step int64
			want []string
		}{{0, 3, []string{"1", "2", "3"}}, {23 * time.Hour, 4, []string{"1", "2", "3", "4"}},
			{2 * time.Hour, 5, []string{"3", "4", "5"}}} {
			time.Sleep(x.wait)
			mustCommit(t, heir, x.step, false)
			if x.step == 5 {
				x.want = slices.DeleteFunc(x.want, func(s string) bool { return s == "1" })
			}
			if got := storedSteps(t, b); !slices.Equal(got, x.want) {
				t.Errorf("after step %d: steps %v are stored, want %v", x.step, got, x.want)
			}
		}
	})
}

// The objects of a checkpoint whose manifest cannot be read stay, as evidence, although no manifest
// names them.
func TestEvidenceOfUnreadableManifestsStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storagetest.NewStore(t)
		b := store.Open(storage.Options{})
		r, _ := mustRestore(t, b, "pod")
		mustCommit(t, r, 1, true)
		mustCommit(t, r, 2, false)
		store.Corrupt("runs/test/manifest/000000000002.json", flipBit)
		heir, p := mustRestore(t, b, "heir")
		if p.Step != 1 || heir.Fallbacks() != 1 {
			t.Fatalf("%+v, %d fallbacks", p, heir.Fallbacks())
		}
		time.Sleep(48 * time.Hour)
		mustCommit(t, heir, 3, false)
		if got, want := storedSteps(t, b), []string{"1", "2", "3"}; !slices.Equal(got, want) {
			t.Errorf("steps %v are stored, want %v", got, want)
		}
	})
}

// An attempt is paused between its commit and its deletions while others commit. It then deletes
// nothing that they retain: the store checks it.
func TestSleepingAttemptDeletesNothingOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storagetest.NewStore(t)
		b := store.Open(storage.Options{})
		sleeper, _ := mustRestore(t, b, "sleeper")
		for step := range int64(5) {
			mustCommit(t, sleeper, step+1, false)
		}
		lists := 0
		store.Plan(func(c storagetest.Call) storagetest.Fault {
			if c.Op == storagetest.List && strings.HasSuffix(c.Key, "/state/") {
				if lists++; lists == 1 {
					return storagetest.Slow
				}
			}
			return storagetest.None
		})
		done := make(chan error, 1)
		go func() {
			_, err := sleeper.Commit(t.Context(), "pretrain", 6, false, testParts(6))
			done <- err
		}()
		time.Sleep(time.Second) // the sleeper has committed and waits for its listing
		other, _ := mustRestore(t, b, "other")
		for step := int64(7); step < 15; step++ {
			mustCommit(t, other, step, false)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got, want := storedSteps(t, b), []string{"12", "13", "14"}; !slices.Equal(got, want) {
			t.Errorf("steps %v are stored, want %v", got, want)
		}
		if _, err := sleeper.Commit(t.Context(), "pretrain", 7, false, testParts(7)); !errors.Is(err,
			storage.ErrOvertaken) {
			t.Errorf("the sleeper committed again: %v", err)
		}
	})
}

// Temporary files that a kill leaves beside manifests, metrics and programs of a file:// bucket go
// with a commit once they are a day old, and not before.
func TestTemporaryFilesGoAfterADay(t *testing.T) {
	dir := t.TempDir()
	b := storagetest.Open(t, "file://"+dir, storage.Options{})
	r, _ := mustRestore(t, b, "pod")
	mustCommit(t, r, 1, false)
	var old, young []string
	for _, folder := range []string{"manifest", "metrics", "programs"} {
		if err := os.MkdirAll(filepath.Join(dir, "runs/test", folder), 0o777); err != nil {
			t.Fatal(err)
		}
		for i, files := range []*[]string{&old, &young} {
			name := filepath.Join(dir, "runs/test", folder, "000000000009.json.0123456789abcde"+strconv.Itoa(i)+".tmp")
			if err := os.WriteFile(name, []byte("half"), 0o666); err != nil {
				t.Fatal(err)
			}
			*files = append(*files, name)
		}
	}
	for _, name := range old {
		if err := os.Chtimes(name, time.Time{}, time.Now().Add(-25*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	mustCommit(t, r, 2, false)
	for _, name := range old {
		if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	for _, name := range young {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}
