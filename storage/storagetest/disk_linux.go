package storagetest

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// MountSmall mounts a disk of the given size in bytes on a folder, or skips the test where that is
// not allowed.
func MountSmall(t testing.TB, dir string, size int64) {
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
