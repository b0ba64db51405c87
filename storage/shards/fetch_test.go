package shards

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// Faults in every third call cost no shard and leave no part files.
func TestDownloadsSurviveFaults(t *testing.T) {
	for _, fault := range []storagetest.Fault{storagetest.Refused, storagetest.Cut, storagetest.CutQuietly,
		storagetest.Flipped, storagetest.Denied, storagetest.Missing, storagetest.Silent} {
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

// Every flipped bit of a shard is found before its first use.
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

// half writes the first half of a shard into the cache, as a killed process leaves it.
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

// A download resumes from the part of a killed process if part and object still fit.
func TestDownloadResumesFromItsPart(t *testing.T) {
	flipFirst := func(data []byte) []byte { data[0] ^= 1; return data }
	for _, test := range []struct {
		name        string
		tag         string              // "" for the true one
		part, store func([]byte) []byte // what happens to the part and to the object
		corrupt     bool
	}{
		{name: "a good part"},
		// The object's first half is never read: only a download that goes on at the part's end can
		// succeed.
		{name: "the first half is not read again", store: flipFirst},
		{name: "a damaged part", part: flipFirst},
		{name: "the part of another object", tag: "other", part: func(data []byte) []byte { return bytes.Repeat([]byte("x"), len(data)) }},
		{name: "a part of another object is not trusted", tag: "other", store: flipFirst, corrupt: true},
		{name: "a part that is too long", part: func(data []byte) []byte { return bytes.Repeat(data, 3) }},
		{name: "an object that has grown", store: func(data []byte) []byte { return append(data, 0) }, tag: "other",
			corrupt: true},
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

// A part file without its object's revision is not trusted.
func TestPartWithoutRevisionIsDropped(t *testing.T) {
	store, _, d := storePacked(t, 20)
	c := newCache(t, d, t.TempDir(), 0)
	shard := &d.Index.Splits["train"][1]
	half(t, c, shard, store.Objects()[d.object(shard).Key], "")
	store.Corrupt(d.object(shard).Key, func(data []byte) []byte { data[0] ^= 1; return data })
	if _, err := c.fetch(t.Context(), shard); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("got %v: the part was trusted", err)
	}
}

// Ahead fetches the planned shards and no others.
func TestAheadFetchesWhatIsPlanned(t *testing.T) {
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

// The fetchers take a shard that a View waits for, then the plan in its order, and nothing for
// which no space can be made.
func TestShardThatIsWaitedForIsFetchedFirst(t *testing.T) {
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
		return slices.Index(s.shards, c.nextToFetch())
	}
	if got := choice(); got != -1 {
		t.Errorf("without a plan shard %d is fetched", got)
	}
	s.Ahead([]int{4, 2, 0, 4, 5})
	s.shards[3].waiters = 1
	if got := choice(); got != 3 {
		t.Errorf("shard %d is fetched, want 3, which is waited for", got)
	}
	s.shards[3].waiters = 0
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
	s.shards[5].waiters = 1
	if got := choice(); got != -1 {
		t.Errorf("shard %d is fetched while nothing can give way", got)
	}
	if c.evictionBlocked = false; choice() != -1 || c.evictionBlocked {
		t.Error("shards on their way are no reason to wait for a View")
	}
}

// A View after a failed fetch fetches again.
func TestFailedShardIsFetchedAgain(t *testing.T) {
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
