package machine

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/settings"
)

// TestCacheFolderIsThisUsersAlone: a new folder has mode 700; in one that others may write to, the
// cache is a folder of this user's own.
func TestCacheFolderIsThisUsersAlone(t *testing.T) {
	root := t.TempDir()
	own := "cijepa-" + strconv.Itoa(os.Geteuid())
	for name, c := range map[string]struct {
		mode os.FileMode // 0: it does not exist
		want string
	}{
		"new/below": {0, "new/below"}, "mine": {0o755, "mine"}, "private": {0o700, "private"},
		"volume": {0o777, "volume/" + own}, "group": {0o775, "group/" + own}, "tmp": {0o777 | os.ModeSticky, "tmp/" + own},
	} {
		folder := filepath.Join(root, name)
		if c.mode != 0 {
			if err := errors.Join(os.Mkdir(folder, 0o700), os.Chmod(folder, c.mode)); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			got, err := CacheFolder(settings.Config{CacheDir: folder})
			if err != nil || got != filepath.Join(root, c.want) {
				t.Fatalf("%s: %s, %v, want %s", name, got, err, c.want)
			}
		}
		info, err := os.Lstat(filepath.Join(root, c.want))
		if err != nil {
			t.Fatal(err)
		}
		if c.mode&0o022 != 0 && info.Mode().Perm() != 0o700 || c.mode == 0 && info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v", c.want, info.Mode())
		}
	}
	if got := settings.Defaults().CacheDir; got != "" {
		t.Errorf("the default is %s, which everybody knows", got)
	}
}

// TestPreparedCacheFolderIsRefused: what another user has put where everybody may write.
func TestPreparedCacheFolderIsRefused(t *testing.T) {
	shared := t.TempDir()
	if err := os.Chmod(shared, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(shared, "cijepa-"+strconv.Itoa(os.Geteuid()))
	if err := os.Symlink(t.TempDir(), own); err != nil {
		t.Fatal(err)
	}
	if got, err := CacheFolder(settings.Config{CacheDir: shared}); err == nil || !strings.Contains(err.Error(), "no folder") {
		t.Errorf("a link in place of the own folder: %s, %v", got, err)
	}
	if os.Geteuid() != 0 {
		return // only root can make what belongs to another user
	}
	theirs, link := filepath.Join(shared, "theirs"), filepath.Join(shared, "link")
	if err := errors.Join(os.Remove(own), os.Mkdir(own, 0o700), os.Chown(own, 1234, -1), os.Mkdir(theirs, 0o777), os.Chown(theirs, 1234, -1),
		os.Symlink(t.TempDir(), link), os.Lchown(link, 1234, -1)); err != nil {
		t.Fatal(err)
	}
	attic := filepath.Join(shared, "attic") // of the other user, who alone writes there
	below := filepath.Join(attic, "link")
	if err := errors.Join(os.Mkdir(attic, 0o755), os.Symlink(t.TempDir(), below), os.Lchown(below, 1234, -1), os.Chown(attic, 1234, -1)); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{shared, theirs, link, below} {
		if got, err := CacheFolder(settings.Config{CacheDir: folder}); err == nil || !strings.Contains(err.Error(), "belongs to user 1234") {
			t.Errorf("%s: %s, %v", folder, got, err)
		}
	}
}
