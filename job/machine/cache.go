package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage/shards"
)

// OpenCache opens the shard cache and checks that it has room for a window of each split. A folder
// that cannot be written and a limit that is too small are *settings.Error.
func OpenCache(c settings.Config, data *shards.Dataset, log *slog.Logger) (*shards.Cache, error) {
	folder := c.CacheDir
	if !data.InPlace() {
		var err error
		if folder, err = CacheFolder(c); err != nil {
			return nil, settings.NewError("CacheDir", c.CacheDir,
				fmt.Sprintf("%v; choose a folder of your own on a local disk, which no other user can write to", err))
		}
	}
	cache, err := shards.NewCache(data, folder, int64(c.CacheSize), log)
	if err != nil {
		return nil, settings.NewError("CacheSize", c.CacheSize, err.Error())
	}
	for _, name := range []string{TrainSplit, ValidationSplit} {
		if data.Index.Counts[name] == 0 {
			continue // see CheckDataset
		}
		split, err := cache.Split(name)
		if err != nil {
			return nil, errors.Join(err, cache.Close())
		}
		if err := split.Require(c.Window); err != nil {
			return nil, errors.Join(settings.NewError("CacheSize", c.CacheSize, err.Error()), cache.Close())
		}
	}
	return cache, nil
}

// CacheFolder returns the folder of this machine where shards and compiled programs lie, and makes
// it. Other users cannot write there. It is CacheDir if that is this user's alone, else a folder of
// this user's in it: a cluster mounts volumes that everybody may write to.
//
// What stands where everybody may make files, such as /tmp, may have been put there by anybody. So
// a folder or a link of another user is an error there.
func CacheFolder(c settings.Config) (string, error) {
	folder := c.CacheDir
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("cannot be made: %w", err)
	}
	named, err := os.Lstat(folder)
	if err != nil {
		return "", err
	}
	isLink := named.Mode()&fs.ModeSymlink != 0 // it may lead to a folder of this user's that is no cache
	if owner := ownerOf(named); owner != os.Geteuid() && owner != 0 && (isLink || isOpenToAll(filepath.Dir(filepath.Clean(folder)))) {
		return "", fmt.Errorf("belongs to user %d, who may have prepared it", owner)
	}
	info, err := os.Stat(folder)
	if err != nil {
		return "", err
	}
	if ownerOf(info) == os.Geteuid() && info.Mode()&writableByOthers == 0 {
		if err := unix.Access(folder, unix.W_OK|unix.X_OK); err != nil {
			return "", fmt.Errorf("cannot be written: %w", err)
		}
		return folder, nil
	}
	return ownFolder(filepath.Join(folder, fmt.Sprintf("cijepa-%d", os.Geteuid())))
}

// writableByOthers are the permissions of a folder in which others than its owner may make files.
const writableByOthers = 0o022

// ownFolder makes a folder that no other user can read or write, unless this user has it.
func ownFolder(folder string) (string, error) {
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("cannot be written: %w", err)
	}
	info, err := os.Lstat(folder)
	switch {
	case err != nil:
		return "", err
	case !info.IsDir():
		return "", fmt.Errorf("holds %s, which is no folder", folder)
	case ownerOf(info) != os.Geteuid():
		return "", fmt.Errorf("holds %s, which belongs to user %d", folder, ownerOf(info))
	case info.Mode().Perm() != 0o700:
		return folder, os.Chmod(folder, 0o700)
	}
	return folder, nil
}

// ownerOf is the user that a file belongs to.
func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return os.Geteuid()
}

// isOpenToAll reports whether every user may make files in a folder.
func isOpenToAll(folder string) bool {
	info, err := os.Stat(folder)
	return err == nil && info.Mode()&0o002 != 0
}
