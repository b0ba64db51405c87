package shards

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

func TestCacheServesEverySample(t *testing.T) {
	b, d := packed(t, 50)
	dir := t.TempDir()
	stored := storagetest.Snapshot(t, b)
	c := newCache(t, d, dir, 0)
	viewAll(t, trainSplit(t, c), stored)
	val, err := c.Split("val")
	if err != nil {
		t.Fatal(err)
	}
	viewAll(t, val, stored)
	if names := storagetest.FileNames(t, dir); len(names) != 6 {
		t.Errorf("the cache holds %v, want six shards", names)
	}

	// The next process needs no shard of the bucket.
	for key := range stored {
		if strings.HasSuffix(key, ".tar") {
			if err := b.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
	}
	viewAll(t, trainSplit(t, newCache(t, d, dir, 0)), stored)
}

func TestCacheMapsFileBucketsInPlace(t *testing.T) {
	root, dir := t.TempDir(), filepath.Join(t.TempDir(), "unused")
	b, err := storage.Open(t.Context(), "file://"+root, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	putPacked(t, b, 50)
	stored := storagetest.Snapshot(t, b)
	c := newCache(t, mustOpenDataset(t, b), dir, 1) // the limit is one byte: nothing counts
	viewAll(t, trainSplit(t, c), stored)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the cache folder was made: %v", err)
	}

	// A flipped byte in the place is found before the first use.
	name := filepath.Join(root, "d", "train-000001.tar")
	data := []byte(stored["d/train-000001.tar"])
	data[700] ^= 1
	if err := os.WriteFile(name, data, 0o666); err != nil {
		t.Fatal(err)
	}
	c = newCache(t, mustOpenDataset(t, b), dir, 0)
	err = trainSplit(t, c).View(t.Context(), 1, 0, func(string, int, []byte) error { return nil })
	if !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), name) {
		t.Errorf("error %v, want ErrCorrupt and the file's name", err)
	}

	// And one that flips while the shard is in use, at the next.
	second := trainSplit(t, c)
	look := func() error {
		return second.View(t.Context(), 2, 0, func(string, int, []byte) error { return nil })
	}
	if err := look(); err != nil {
		t.Fatal(err)
	}
	touched := filepath.Join(root, "d", "train-000002.tar")
	if err := os.Chtimes(touched, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := look(); err != nil {
		t.Errorf("a shard of which only the time has changed: %v", err)
	}
	time.Sleep(20 * time.Millisecond) // the clock of a file system is coarse
	other, err := os.OpenFile(touched, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.WriteAt([]byte{1}, 700); err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := look(); !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), "train-000002.tar was changed while it was in use") {
		t.Errorf("error %v, want ErrCorrupt for what was changed in place", err)
	}

	// A shard that is cut short while it is in use.
	third := trainSplit(t, second.cache)
	look = func() error {
		return third.View(t.Context(), 3, 9, func(string, int, []byte) error { return nil })
	}
	if err := look(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(root, "d", "train-000003.tar"), 1000); err != nil {
		t.Fatal(err)
	}
	if err := look(); !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), "it has 1000 bytes, not ") {
		t.Errorf("error %v, want ErrCorrupt for a shard cut short", err)
	}

	// A pipe in a shard's place, which nobody will ever write to.
	pipe := filepath.Join(root, "d", "train-000004.tar")
	if err := errors.Join(os.Remove(pipe), unix.Mkfifo(pipe, 0o666)); err != nil {
		t.Fatal(err)
	}
	err = third.View(t.Context(), 4, 0, func(string, int, []byte) error { return nil })
	if !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), "is no regular file") {
		t.Errorf("error %v, want ErrCorrupt for a pipe", err)
	}
}

// A disk that does not give a file's bytes is trouble and no damage.
func TestDiskThatCannotBeRead(t *testing.T) {
	b, d := packed(t, 50)
	c := newCache(t, d, t.TempDir(), 0)
	s := trainSplit(t, c)
	look := func() error {
		return s.View(t.Context(), 1, 0, func(string, int, []byte) error { return nil })
	}
	if err := look(); err != nil {
		t.Fatal(err)
	}
	file := s.shards[1].file
	if err := file.read(make([]byte, 10), file.size-5); !errors.Is(err, errUnreadable) { // as of a mount that gives less than there is
		t.Errorf("a read that ends early: %v", err)
	}
	if err := file.file.Close(); err != nil { // reads fail from now on
		t.Fatal(err)
	}
	if err := look(); !errors.Is(err, storage.ErrUnreachable) || errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("error %v, want ErrUnreachable", err)
	}
	if err := file.check(); !errors.Is(err, errUnreadable) {
		t.Errorf("checked: %v", err)
	}
	c.mu.Lock()
	s.shards[1].file, s.shards[1].state = nil, absent
	c.mu.Unlock()

	// What is no copy at all gives way to one.
	whole := c.shardPath(s.shards[1].Shard)
	if err := errors.Join(os.Remove(whole), os.Mkdir(whole, 0o777)); err != nil {
		t.Fatal(err)
	}
	viewAll(t, s, storagetest.Snapshot(t, b))
}

// A shard that its index names and that is gone is damage, of which every message says what to do; a comparison with a listing finds it beforehand.
func TestShardsThatAreGone(t *testing.T) {
	inPlace, err := storage.Open(t.Context(), "file://"+t.TempDir(), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer inPlace.Close()
	for name, b := range map[string]*storage.Bucket{"in place": inPlace, "in a cache": storagetest.Memory(t)} {
		t.Run(name, func(t *testing.T) {
			putPacked(t, b, 50)
			d := mustOpenDataset(t, b)
			if err := d.CheckSizes(t.Context()); err != nil {
				t.Errorf("a whole data set: %v", err)
			}
			if err := b.Delete(t.Context(), "d/train-000003.tar"); err != nil {
				t.Fatal(err)
			}
			storagetest.PutAll(t, b, map[string]string{"d/train-000001.tar": "short"})
			s := trainSplit(t, newCache(t, d, t.TempDir(), 0))
			for shard, says := range map[int]string{1: "d/train-000001.tar", 3: "d/train-000003.tar: corrupt: the index names it, but it is gone"} {
				err := s.View(t.Context(), shard, 0, func(string, int, []byte) error { return nil })
				if !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), repairAdvice) {
					t.Errorf("shard %d: %v, want ErrCorrupt, %q and what to do", shard, err, says)
				}
			}
			err := d.CheckSizes(t.Context())
			if want := "2 of 6 shards of d/index.json: corrupt: train-000001.tar has 5 bytes, not "; !errors.Is(err, storage.ErrCorrupt) ||
				!strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "train-000003.tar is gone; "+repairAdvice) {
				t.Errorf("compared: %v", err)
			}
		})
	}
}

// A data set whose folder and shards are links is whole: a run reads through them.
func TestLinkedDataset(t *testing.T) {
	root, elsewhere := t.TempDir(), t.TempDir()
	b, err := storage.Open(t.Context(), "file://"+root, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	putPacked(t, b, 30)
	stored := storagetest.Snapshot(t, b)
	folder, shard := filepath.Join(root, "d"), "train-000001.tar"
	if err := errors.Join(os.Rename(filepath.Join(folder, shard), filepath.Join(elsewhere, "shard")), os.Symlink(filepath.Join(elsewhere, "shard"), filepath.Join(folder, shard)),
		os.Rename(folder, filepath.Join(elsewhere, "d")), os.Symlink(filepath.Join(elsewhere, "d"), folder)); err != nil {
		t.Fatal(err)
	}
	d := mustOpenDataset(t, b)
	if err := d.CheckSizes(t.Context()); err != nil {
		t.Error(err)
	}
	viewAll(t, trainSplit(t, newCache(t, d, t.TempDir(), 0)), stored)
	if err := os.Truncate(filepath.Join(elsewhere, "shard"), 1000); err != nil {
		t.Fatal(err)
	}
	if err := d.CheckSizes(t.Context()); !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), shard+" has 1000 bytes") {
		t.Errorf("compared: %v", err)
	}
}

func TestViewPassesErrorsOn(t *testing.T) {
	_, d := packed(t, 20)
	s := trainSplit(t, newCache(t, d, t.TempDir(), 0))
	own := errors.New("own")
	if err := s.View(t.Context(), 0, 0, func(string, int, []byte) error { return own }); err != own {
		t.Errorf("error %v, want f's own", err)
	}
	for _, place := range [][2]int{{-1, 0}, {2, 0}, {0, -1}, {0, 10}} {
		if err := s.View(t.Context(), place[0], place[1], func(string, int, []byte) error { return nil }); err == nil {
			t.Errorf("no error for sample %d of shard %d", place[1], place[0])
		}
	}
}

func TestAheadFetchesInOrder(t *testing.T) {
	_, d := packed(t, 100)
	c := newCache(t, d, t.TempDir(), 0)
	s := trainSplit(t, c)
	s.Ahead([]int{7, 3, 9, 0})
	local := func() (shards []int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for i, shard := range s.shards {
			if shard.state == ready {
				shards = append(shards, i)
			}
		}
		return shards
	}
	eventually(t, "the planned shards are here", func() bool { return len(local()) == 4 })
	if got := local(); !slices.Equal(got, []int{0, 3, 7, 9}) {
		t.Errorf("shards %v are here", got)
	}
}

func TestCacheEvictsWhatIsNeededLast(t *testing.T) {
	b, d := packed(t, 100)
	dir := t.TempDir()
	size := d.Index.Splits["train"][0].Size
	c := newCache(t, d, dir, 4*size)
	s := trainSplit(t, c)
	local := func() []int {
		c.mu.Lock()
		defer c.mu.Unlock()
		var shards []int
		for i, shard := range s.shards {
			if shard.state == ready {
				shards = append(shards, i)
			}
		}
		return shards
	}
	s.Ahead([]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	eventually(t, "the first four are here", func() bool { return slices.Equal(local(), []int{0, 1, 2, 3}) })
	if n := len(storagetest.FileNames(t, dir)); n != 4 {
		t.Errorf("%d files in the cache", n)
	}
	// The window 0, 1 is done; 1 comes again soon, 0 late, and 2 and 3 are next.
	s.Ahead([]int{2, 3, 1, 4, 5, 6, 7, 8, 9, 0})
	eventually(t, "4 has taken the place of 0", func() bool { return slices.Equal(local(), []int{1, 2, 3, 4}) })
	viewAll(t, s, storagetest.Snapshot(t, b))
	here := slices.DeleteFunc(storagetest.FileNames(t, dir), func(name string) bool { return strings.HasSuffix(name, ".etag") }) // of a download on its way
	if len(here) > 4 {
		t.Errorf("the cache, which may hold 4 files, has %v", here)
	}
}

func TestCacheTooSmall(t *testing.T) {
	_, d := packed(t, 100)
	size := d.Index.Splits["train"][0].Size
	if _, err := NewCache(d, t.TempDir(), size-1, nil); err == nil || !strings.Contains(err.Error(), "raise the cache size") {
		t.Errorf("a cache smaller than a shard: %v", err)
	}
	c := newCache(t, d, t.TempDir(), 4*size)
	s := trainSplit(t, c)
	if err := s.Require(4); err != nil {
		t.Error(err)
	}
	if err := s.Require(5); err == nil || !strings.Contains(err.Error(), "a window of 5 shards") {
		t.Errorf("a cache smaller than a window: %v", err)
	}
}

func TestViewIsCancelled(t *testing.T) {
	store, _, d := storePacked(t, 20)
	store.Plan(storagetest.Always(storagetest.Silent, storagetest.Read))
	s := trainSplit(t, newCache(t, d, t.TempDir(), 0))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := s.View(ctx, 1, 0, func(string, int, []byte) error { return nil })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's", err)
	}
}

// A shard that could not be had is asked for again by the next View.
func TestViewAfterFailure(t *testing.T) {
	store, b, d := storePacked(t, 20)
	stored := storagetest.Snapshot(t, b)
	key := "d/" + d.Index.Splits["train"][0].Name
	nothing := func([]byte) []byte { return nil }
	store.Corrupt(key, nothing)
	s := trainSplit(t, newCache(t, d, t.TempDir(), 0))
	err := s.View(t.Context(), 0, 0, func(string, int, []byte) error { return nil })
	if !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), key) {
		t.Errorf("an emptied shard: %v, want ErrCorrupt and its key", err)
	}
	store.Corrupt(key, func([]byte) []byte { return []byte(stored[key]) })
	viewAll(t, s, stored)
}

func TestSecondEpochNeedsNoNetwork(t *testing.T) {
	store, b, d := storePacked(t, 100)
	stored := storagetest.Snapshot(t, b)
	s := trainSplit(t, newCache(t, d, t.TempDir(), 0))
	s.Ahead(rand.Perm(len(s.shards)))
	viewAll(t, s, stored)
	store.Plan(nil) // counts from here
	s.Ahead(rand.Perm(len(s.shards)))
	viewAll(t, s, stored)
	if store.Calls() != 0 {
		t.Errorf("the second epoch made %d calls", store.Calls())
	}
}

func TestChoose(t *testing.T) {
	_, d := packed(t, 60)
	c, err := NewCache(d, t.TempDir(), 3*d.Index.Splits["train"][0].Size, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil { // the fetchers are gone: the test makes their choices
		t.Fatal(err)
	}
	s := trainSplit(t, c)
	choice := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return slices.Index(s.shards, c.choose())
	}
	if got := choice(); got != -1 {
		t.Errorf("without a plan shard %d is fetched", got)
	}
	s.Ahead([]int{4, 2, 0, 4, 5})
	s.shards[3].waiting = 1
	if got := choice(); got != 3 {
		t.Errorf("shard %d is fetched, want 3, which is waited for", got)
	}
	s.shards[3].waiting = 0
	for _, want := range []int{4, 2, 0} {
		if got := choice(); got != want {
			t.Errorf("shard %d is fetched, want %d, by the plan", got, want)
		}
		s.shards[want].state = fetching
		c.used += s.shards[want].diskSize
	}
	if got := choice(); got != -1 {
		t.Errorf("shard %d is fetched into a full cache", got)
	}
	s.shards[5].waiting = 1
	if got := choice(); got != -1 {
		t.Errorf("shard %d is fetched while nothing can give way", got)
	}
	if c.evictionBlocked = false; choice() != -1 || c.evictionBlocked {
		t.Error("shards on their way are no reason to wait for a View")
	}
}

// With room for one or three shards and eight goroutines that each want another, every View still gets its own bytes.
func TestViewsAtOnce(t *testing.T) {
	for _, room := range []int64{1, 3} {
		b, d := packed(t, 100)
		c := newCache(t, d, t.TempDir(), room*d.Index.Splits["train"][0].Size)
		s := trainSplit(t, c)
		stored := storagetest.Snapshot(t, b)
		var group sync.WaitGroup
		for worker := range 8 {
			group.Go(func() {
				for i := range 20 {
					shard, sample := (i*7+worker*3)%10, (i+worker)%10
					samples := s.shards[shard].Samples
					err := s.View(t.Context(), shard, sample, func(key string, _ int, image []byte) error {
						if string(image) != stored["d/"+s.shards[shard].Name][samples.Offsets[sample]:][:samples.Lengths[sample]] {
							t.Errorf("wrong bytes of sample %d in shard %d", sample, shard)
						}
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		c.mu.Lock()
		if c.used > c.limit {
			t.Errorf("the cache holds %d bytes of %d", c.used, c.limit)
		}
		c.mu.Unlock()
	}
}

// A file of the cache that somebody writes to is trouble with the disk, which another attempt mends: it downloads the shard again.
func TestCacheFileThatIsChanged(t *testing.T) {
	b, d := packed(t, 50)
	dir := t.TempDir()
	c := newCache(t, d, dir, 0)
	s := trainSplit(t, c)
	look := func(s *Split) error {
		return s.View(t.Context(), 0, 0, func(string, int, []byte) error { return nil })
	}
	if err := look(s); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // the clock of a file system is coarse
	file, err := os.OpenFile(c.shardPath(s.shards[0].Shard), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte{1}, 700); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := look(s); !errors.Is(err, storage.ErrUnreachable) || errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("error %v, want ErrUnreachable", err)
	}
	viewAll(t, trainSplit(t, newCache(t, d, dir, 0)), storagetest.Snapshot(t, b))
}
