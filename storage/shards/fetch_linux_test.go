package shards

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/storage/storagetest"
	"golang.org/x/sys/unix"
)

// A disk that is smaller than the limit lowers the limit.
func TestFullDiskLowersTheLimit(t *testing.T) {
	b, d := packed(t, 400)
	size := d.Index.Splits["train"][0].Size
	dir := t.TempDir()
	// Every file takes whole pages: this is the room of some 14 shards.
	room := 14 * (size + 8192)
	storagetest.MountSmall(t, dir, room)
	stored := storagetest.Snapshot(t, b)
	t.Run("enough for the window", func(t *testing.T) {
		c := newCache(t, d, dir, 0)
		s := trainSplit(t, c)
		if err := s.Require(4); err != nil {
			t.Fatal(err)
		}
		plan := make([]int, len(s.shards))
		for i := range plan {
			plan[i] = i
		}
		s.Ahead(plan)
		viewAll(t, s, stored)
		if c.limit > room || c.limit < 8*size {
			t.Errorf("the limit has become %d bytes on a disk of %d", c.limit, room)
		}
	})
	t.Run("too small for the window", func(t *testing.T) {
		for _, name := range storagetest.FileNames(t, dir) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		c := newCache(t, d, dir, 0)
		s := trainSplit(t, c)
		if err := s.Require(30); err != nil {
			t.Fatal(err)
		}
		var failed error
		for i := range s.shards {
			failed = errors.Join(failed, s.View(t.Context(), i, 0, func(string, int, []byte) error { return nil }))
		}
		if !errors.Is(failed, unix.ENOSPC) || !strings.Contains(failed.Error(), "free space in "+dir) {
			t.Errorf("error %v, want the full disk and what to do", failed)
		}
	})
}
