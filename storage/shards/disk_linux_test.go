package shards

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

// mountSmall makes a disk of the given size of a folder.
func mountSmall(t *testing.T, dir string, size int64) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
}

// A bucket on a disk that is full is trouble with storage, told with the folder in which to make room.
func TestBucketOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	mountSmall(t, dir, 64<<10)
	b := checkpoint.openTest(t, "file://"+dir, checkpoint.hasty(t))
	data := make([]byte, 256<<10)
	_, put := b.PutBytes(t.Context(), "x", data)
	_, create := b.Create(t.Context(), "y", data)
	for _, err := range []error{put, create} {
		if !errors.Is(err, storage.ErrUnreachable) || !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "free space in "+dir) {
			t.Errorf("got %v", err)
		}
	}
}

// A disk that turns out smaller than the limit becomes the limit.
func TestDiskFull(t *testing.T) {
	b, d := packed(t, 400)
	size := d.Index.Splits["train"][0].Size
	dir := t.TempDir()
	// Every file takes whole pages: this is the room of some 14 shards.
	room := 14 * (size + 8192)
	mountSmall(t, dir, room)
	stored := pack.snapshot(t, b)
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
		for _, name := range files(t, dir) {
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

// Of what was to replace an object on a disk that has filled up nothing is seen.
func TestFullDiskKeepsWhatWasThere(t *testing.T) {
	dir := t.TempDir()
	mountSmall(t, dir, 64<<10)
	b := checkpoint.openTest(t, "file://"+dir, checkpoint.hasty(t))
	first := storage.randomBytes(20 << 10)
	if _, err := b.PutBytes(t.Context(), "x", first); err != nil {
		t.Fatal(err)
	}
	if _, err := b.PutBytes(t.Context(), "x", storage.randomBytes(256<<10)); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("a disk of 64 KiB took 256: %v", err)
	}
	if got, err := b.Get(t.Context(), "x"); err != nil || !bytes.Equal(got, first) {
		t.Errorf("%d bytes are left of %d: %v", len(got), len(first), err)
	}
	if left := files(t, dir); len(left) != 1 {
		t.Errorf("on the disk are %v", left)
	}
}

// Checkpoints that do not fit leave nothing behind: when there is room for one again, it is there for that one.
func TestFailedCommitsLeaveTheDiskAsItWas(t *testing.T) {
	dir := t.TempDir()
	mountSmall(t, dir, 256<<10)
	b := checkpoint.openTest(t, "file://"+dir, checkpoint.hasty(t))
	r, _ := checkpoint.mustRestore(t, b, "a")
	checkpoint.mustCommit(t, r, 1, false)
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, storage.randomBytes(150<<10), 0o666); err != nil {
		t.Fatal(err)
	}
	large := []checkpoint.Part{checkpoint.bytesPart("small", storage.randomBytes(20<<10)), checkpoint.bytesPart("large", storage.randomBytes(150<<10))}
	for range 3 {
		if _, err := r.Commit(t.Context(), "pretrain", 2, false, large); !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("a full disk took a checkpoint: %v", err)
		}
	}
	keys, err := b.List(t.Context(), "runs/test/state/")
	if err != nil || len(keys) != len(checkpoint.testParts(1)) {
		t.Errorf("of one commit and three that failed there is %v: %v", keys, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Commit(t.Context(), "pretrain", 2, false, large); err != nil {
		t.Error(err)
	}
}
