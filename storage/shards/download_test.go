package shards

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gocloud.dev/blob/fileblob"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

func TestDownloadsSurviveFaults(t *testing.T) {
	for _, fault := range []storagetest.Fault{storagetest.Refused, storagetest.Cut, storagetest.CutQuietly, storagetest.Flipped, storagetest.Denied, storagetest.Silent} {
		t.Run(string(fault), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, b, d := storePacked(t, 50)
				stored := storagetest.Snapshot(t, b)
				store.Plan(func(c storagetest.Call) storagetest.Fault {
					if c.N%3 == 0 {
						return fault
					}
					return storagetest.None
				})
				dir := t.TempDir()
				viewAll(t, trainSplit(t, newCache(t, d, dir, 0)), stored)
				for _, name := range storagetest.FileNames(t, dir) {
					if !strings.HasSuffix(name, ".tar") {
						t.Errorf("%s is left in the cache", name)
					}
				}
			})
		})
	}
}

// flips is small because each flip costs three downloads; 2,000 take ten seconds.
var flips = flag.Int("flips", 200, "the bits that TestEveryFlippedBitOfAShardIsFound flips")

func TestEveryFlippedBitOfAShardIsFound(t *testing.T) {
	store, _, d := storePacked(t, 20)
	random := rand.New(rand.NewPCG(5, 6))
	shard := &d.Index.Splits["train"][0]
	key := d.object(shard).Key
	c := newCache(t, d, t.TempDir(), 0)
	for range *flips {
		at, bit := random.IntN(int(shard.Size)), byte(1)<<random.IntN(8)
		flip := func(data []byte) []byte { data[at] ^= bit; return data }
		store.Corrupt(key, flip)
		if file, err := c.fetch(t.Context(), shard); !errors.Is(err, storage.ErrCorrupt) {
			t.Fatalf("bit %08b of byte %d: got %v, %v, want ErrCorrupt", bit, at, file, err)
		}
		store.Corrupt(key, flip)
	}
	file, err := c.fetch(t.Context(), shard)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(contents(t, file), store.Objects()[key]) {
		t.Error("the shard has other bytes in the cache than in the bucket")
	}
	if err := file.close(); err != nil {
		t.Error(err)
	}
}

// contents reads all of a shard's file.
func contents(t *testing.T, file *shardFile) []byte {
	t.Helper()
	data := make([]byte, file.size)
	if err := file.read(data, 0); err != nil {
		t.Fatal(err)
	}
	return data
}

// half writes the first half of a shard into the cache, as a process that was killed leaves it.
func half(t *testing.T, c *Cache, shard *Shard, data []byte, tag string) {
	t.Helper()
	part := strings.TrimSuffix(c.shardPath(shard), ".tar") + ".part"
	if err := os.WriteFile(part, data[:len(data)/2], 0o666); err != nil {
		t.Fatal(err)
	}
	if tag != "" {
		if err := os.WriteFile(part+".etag", []byte(tag), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPartIsTakenUp(t *testing.T) {
	flipFirst := func(data []byte) []byte { data[0] ^= 1; return data }
	for _, test := range []struct {
		name        string
		tag         string              // "" for the true one
		part, store func([]byte) []byte // what happens to the part and to the object
		corrupt     bool
	}{
		{name: "a good part"},
		// The object's first half is never read: only a download that goes on at the part's end can succeed.
		{name: "the first half is not read again", store: flipFirst},
		{name: "a damaged part", part: flipFirst},
		{name: "the part of another object", tag: "other", part: func(data []byte) []byte { return bytes.Repeat([]byte("x"), len(data)) }},
		{name: "a part of another object is not trusted", tag: "other", store: flipFirst, corrupt: true},
		{name: "a part that is too long", part: func(data []byte) []byte { return bytes.Repeat(data, 3) }},
		{name: "an object that has grown", store: func(data []byte) []byte { return append(data, 0) }, tag: "other", corrupt: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			store, b, d := storePacked(t, 20)
			c := newCache(t, d, t.TempDir(), 0)
			shard := &d.Index.Splits["train"][1]
			key := d.object(shard).Key
			whole := store.Objects()[key]
			part := bytes.Clone(whole)
			if test.part != nil {
				part = test.part(part)
			}
			tag := test.tag
			if tag == "" {
				var err error
				if tag, err = b.Revision(t.Context(), key); err != nil {
					t.Fatal(err)
				}
			}
			half(t, c, shard, part, tag)
			if test.store != nil {
				store.Corrupt(key, test.store)
			}
			file, err := c.fetch(t.Context(), shard)
			if test.corrupt {
				if !errors.Is(err, storage.ErrCorrupt) {
					t.Errorf("got %v, want ErrCorrupt", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(contents(t, file), whole) {
				t.Error("wrong bytes")
			}
			if err := file.close(); err != nil {
				t.Error(err)
			}
			if left := storagetest.FileNames(t, c.dir); len(left) != 1 {
				t.Errorf("the cache holds %v, want the shard alone", left)
			}
		})
	}
}

func TestPartWithoutTagIsDropped(t *testing.T) {
	store, _, d := storePacked(t, 20)
	c := newCache(t, d, t.TempDir(), 0)
	shard := &d.Index.Splits["train"][1]
	half(t, c, shard, store.Objects()[d.object(shard).Key], "")
	store.Corrupt(d.object(shard).Key, func(data []byte) []byte { data[0] ^= 1; return data })
	if _, err := c.fetch(t.Context(), shard); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("got %v: the part was trusted", err)
	}
}

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

// What an earlier process has left counts, and gives way when this one may hold less.
func TestCacheTakesStock(t *testing.T) {
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

// cacheOf is the process that TestProcessesShareACache starts several times: it serves all samples from a cache that others use too.
var cacheOf = flag.String("cache-of", "", "be the process of TestProcessesShareACache with this bucket directory")

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
	bucket, err := fileblob.OpenBucket(filepath.Join(root, "bucket"), &fileblob.Options{Metadata: fileblob.MetadataDontWrite, NoTempDir: true})
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
	// What is left is whole, apart from what the killed one was at.
	d := mustOpenDataset(t, b)
	c := newCache(t, d, filepath.Join(root, "cache"), 0)
	viewAll(t, trainSplit(t, c), storagetest.Snapshot(t, b))
	if n := len(storagetest.FileNames(t, c.dir)); n != 12 {
		t.Errorf("the cache holds %v, want the 12 shards", storagetest.FileNames(t, c.dir))
	}
}
