package shards

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gocloud.dev/blob/fileblob"
	"golang.org/x/sys/unix"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// Every sample is read as it is stored, and again by a process that needs no bucket.
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

// Shards of a file:// bucket are read in place, and what happens to their files is found before the
// next use.
func TestFileBucketsAreReadInPlace(t *testing.T) {
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

	// A flipped byte is found before the first use.
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

	// A byte that flips while the shard is in use is found at the next use.
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
	if err := look(); !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(),
		"train-000002.tar was changed while it was in use") {
		t.Errorf("error %v, want ErrCorrupt for what was changed in place", err)
	}

	// A shard that is truncated while it is in use.
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

	// A pipe in a shard's place, to which nobody writes.
	pipe := filepath.Join(root, "d", "train-000004.tar")
	if err := errors.Join(os.Remove(pipe), unix.Mkfifo(pipe, 0o666)); err != nil {
		t.Fatal(err)
	}
	err = third.View(t.Context(), 4, 0, func(string, int, []byte) error { return nil })
	if !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), "is no regular file") {
		t.Errorf("error %v, want ErrCorrupt for a pipe", err)
	}
}

// View returns the error of its function as it is, and an error for a sample that does not exist.
func TestViewReturnsTheErrorOfItsFunction(t *testing.T) {
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

// A View whose context ends stops waiting.
func TestCancelledViewStopsWaiting(t *testing.T) {
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

// A second pass over cached shards makes no call to the store.
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

// With space for one or three shards and eight goroutines that want different ones, every View gets
// its own bytes.
func TestConcurrentViewsGetTheirOwnBytes(t *testing.T) {
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

// Damaged files of the cache are downloaded again.
func TestDamagedCacheIsRepaired(t *testing.T) {
	b, d := packed(t, 50)
	dir := t.TempDir()
	stored := storagetest.Snapshot(t, b)
	c := newCache(t, d, dir, 0)
	viewAll(t, trainSplit(t, c), stored)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for i, name := range storagetest.FileNames(t, dir) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		switch i {
		case 0:
			data[len(data)-1] ^= 1
		case 1:
			data = data[:1000]
		case 2:
			data = append(data, 0)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	viewAll(t, trainSplit(t, newCache(t, d, dir, 0)), stored)
}

// Shards that an earlier process has left count against the limit and are evicted.
func TestShardsOfEarlierProcessesCountAndAreEvicted(t *testing.T) {
	b, d := packed(t, 100)
	dir := t.TempDir()
	stored := storagetest.Snapshot(t, b)
	c := newCache(t, d, dir, 0)
	viewAll(t, trainSplit(t, c), stored)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(storagetest.FileNames(t, dir)); n != 10 {
		t.Fatalf("%d files", n)
	}
	c = newCache(t, d, dir, 3*d.Index.Splits["train"][0].Size)
	s := trainSplit(t, c)
	s.Ahead([]int{4, 5, 6, 7, 8, 9, 0, 1, 2, 3})
	eventually(t, "the first three are ready", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return s.shards[4].state == ready && s.shards[5].state == ready && s.shards[6].state == ready && c.used <= c.limit
	})
	if n := len(storagetest.FileNames(t, dir)); n != 3 {
		t.Errorf("%d files in a cache for 3", n)
	}
	viewAll(t, s, stored)
}

// cacheOf makes the test binary a process of TestProcessesShareACache, which reads all samples from
// a shared cache.
var cacheOf = flag.String("cache-of", "", "be the process of TestProcessesShareACache with this bucket directory")

// Several processes share a cache directory, and one of them is killed.
func TestProcessesShareACache(t *testing.T) {
	if *cacheOf != "" {
		// Opened by the driver, a directory is a bucket like any other: its shards are downloaded.
		bucket, err := fileblob.OpenBucket(filepath.Join(*cacheOf, "bucket"), nil)
		if err != nil {
			t.Fatal(err)
		}
		b := storagetest.Wrap(t, bucket, storage.Options{})
		d := mustOpenDataset(t, b)
		stored := storagetest.Snapshot(t, b)
		c := newCache(t, d, filepath.Join(*cacheOf, "cache"), 5*d.Index.Splits["train"][0].Size)
		s := trainSplit(t, c)
		order := rand.Perm(len(s.shards))
		s.Ahead(order)
		for range 3 {
			viewAll(t, s, stored)
		}
		return
	}
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "bucket"), 0o777); err != nil {
		t.Fatal(err)
	}
	bucket, err := fileblob.OpenBucket(filepath.Join(root, "bucket"),
		&fileblob.Options{Metadata: fileblob.MetadataDontWrite, NoTempDir: true})
	if err != nil {
		t.Fatal(err)
	}
	b := storagetest.Wrap(t, bucket, storage.Options{})
	defer b.Close()
	putPacked(t, b, 120)

	const processes = 5
	var running []*exec.Cmd
	var outputs []*bytes.Buffer
	for range processes {
		cmd := exec.Command(os.Args[0], "-test.run=^TestProcessesShareACache$", "-test.timeout=60s", "-cache-of="+root)
		output := &bytes.Buffer{}
		cmd.Stdout, cmd.Stderr = output, output
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running, outputs = append(running, cmd), append(outputs, output)
	}
	// One is killed in the middle of its work.
	time.Sleep(60 * time.Millisecond)
	if err := running[0].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for i, cmd := range running {
		if err := cmd.Wait(); err != nil && i > 0 {
			t.Errorf("process %d: %v\n%s", i, err, outputs[i])
		}
	}
	// Everything left is whole, except what the killed process was writing.
	d := mustOpenDataset(t, b)
	c := newCache(t, d, filepath.Join(root, "cache"), 0)
	viewAll(t, trainSplit(t, c), storagetest.Snapshot(t, b))
	if n := len(storagetest.FileNames(t, c.dir)); n != 12 {
		t.Errorf("the cache holds %v, want the 12 shards", storagetest.FileNames(t, c.dir))
	}
}
