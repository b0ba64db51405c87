package shards

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// A disk that fails to read a file is unreachable storage, not damage.
func TestDiskThatCannotBeReadIsNoDamage(t *testing.T) {
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
	// A mount that returns fewer bytes than the file has.
	if err := file.read(make([]byte, 10), file.size-5); !errors.Is(err, errUnreadable) {
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

	// A folder in the file's place is replaced by a download.
	whole := c.shardPath(s.shards[1].Shard)
	if err := errors.Join(os.Remove(whole), os.Mkdir(whole, 0o777)); err != nil {
		t.Fatal(err)
	}
	viewAll(t, s, storagetest.Snapshot(t, b))
}

// A cache file that somebody has changed is unreachable storage, and another attempt downloads it
// again.
func TestChangedCacheFileIsDownloadedAgain(t *testing.T) {
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

// Links in the cache, of other users or not, are not followed: what they lead to stays as it is.
func TestLinksInTheCacheAreNotFollowed(t *testing.T) {
	_, _, d := storePacked(t, 20)
	shard := &d.Index.Splits["train"][0]
	victim := filepath.Join(t.TempDir(), "victim")
	for _, ending := range []string{".tar", ".part", ".part.etag"} {
		for _, link := range []func(string, string) error{os.Symlink, os.Link} {
			if err := os.WriteFile(victim, []byte("of somebody else"), 0o600); err != nil {
				t.Fatal(err)
			}
			c := newCache(t, d, t.TempDir(), 0)
			if err := link(victim, filepath.Join(c.dir, shard.SHA256+ending)); err != nil {
				t.Fatal(err)
			}
			file, err := c.fetch(t.Context(), shard)
			if err == nil {
				err = file.close()
			} else if !strings.Contains(err.Error(), "no file of this cache") {
				t.Errorf("%s: %v", ending, err)
			}
			if text, rerr := os.ReadFile(victim); rerr != nil || string(text) != "of somebody else" {
				t.Errorf("%s: %q, %v, after %v", ending, text, rerr, err)
			}
		}
	}
}
