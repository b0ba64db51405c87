package storage_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// A bucket on a full disk is unreachable, and the error names the folder in which to free space.
func TestFullDiskIsUnreachable(t *testing.T) {
	dir := t.TempDir()
	storagetest.MountSmall(t, dir, 64<<10)
	b := storagetest.Open(t, "file://"+dir, quick(t))
	data := make([]byte, 256<<10)
	_, put := b.PutBytes(t.Context(), "x", data)
	_, create := b.Create(t.Context(), "y", data)
	for _, err := range []error{put, create} {
		if !errors.Is(err, storage.ErrUnreachable) || !errors.Is(err, unix.ENOSPC) ||
			!strings.Contains(err.Error(), "free space in "+dir) {
			t.Errorf("got %v", err)
		}
	}
}

// A replacement that does not fit on the disk leaves the old object whole and nothing of the new
// one.
func TestFullDiskKeepsWhatWasThere(t *testing.T) {
	dir := t.TempDir()
	storagetest.MountSmall(t, dir, 64<<10)
	b := storagetest.Open(t, "file://"+dir, quick(t))
	first := storagetest.RandomBytes(20 << 10)
	if _, err := b.PutBytes(t.Context(), "x", first); err != nil {
		t.Fatal(err)
	}
	if _, err := b.PutBytes(t.Context(), "x", storagetest.RandomBytes(256<<10)); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("a disk of 64 KiB took 256: %v", err)
	}
	if got, err := b.Get(t.Context(), "x"); err != nil || !bytes.Equal(got, first) {
		t.Errorf("%d bytes are left of %d: %v", len(got), len(first), err)
	}
	if left := storagetest.FileNames(t, dir); len(left) != 1 {
		t.Errorf("on the disk are %v", left)
	}
}
