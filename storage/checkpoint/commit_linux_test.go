package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/cijepa/cijepa/storage/storagetest"
	"golang.org/x/sys/unix"
)

// Checkpoints that do not fit on the disk leave nothing behind, so that a later one fits when there
// is space again.
func TestFailedCommitsLeaveTheDiskAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		storagetest.MountSmall(t, dir, 256<<10)
		b := storagetest.Open(t, "file://"+dir, storagetest.Options(t))
		r, _ := mustRestore(t, b, "a")
		mustCommit(t, r, 1, false)
		filler := filepath.Join(dir, "filler")
		if err := os.WriteFile(filler, storagetest.RandomBytes(150<<10), 0o666); err != nil {
			t.Fatal(err)
		}
		large := []Part{bytesPart("small", storagetest.RandomBytes(20<<10)),
			bytesPart("large", storagetest.RandomBytes(150<<10))}
		for range 3 {
			if _, err := r.Commit(t.Context(), "pretrain", 2, false, large); !errors.Is(err, unix.ENOSPC) {
				t.Fatalf("a full disk took a checkpoint: %v", err)
			}
		}
		keys, err := b.List(t.Context(), "runs/test/state/")
		if err != nil || len(keys) != len(testParts(1)) {
			t.Errorf("of one commit and three that failed there is %v: %v", keys, err)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Commit(t.Context(), "pretrain", 2, false, large); err != nil {
			t.Error(err)
		}
	})
}
