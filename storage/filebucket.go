package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"regexp"

	"golang.org/x/sys/unix"
)

// createFile is Create for a file:// bucket. The driver's own condition is a check followed by a
// rename, which two processes can both pass. Here the bytes go to a temporary file, which is then
// linked to its name; link fails when the name is taken.
//
// Only files created in this way are synced to the disk. The parts of a checkpoint are not: a power
// cut can tear those of the last half minute, and the checksums in their manifest show it.
func createFile(dir, key string, data []byte) error {
	name := filepath.Join(dir, filepath.FromSlash(key))
	f, err := createTemporary(name)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync() // the name must not appear before the bytes, even in a power cut
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), name); !errors.Is(err, errors.ErrUnsupported) && !isLinkRefused(err) {
		return err
	}
	return createWithoutLink(name, data)
}

// putFile is Put for a file:// bucket: it writes a temporary file and renames it. The driver
// replaces a whole file by a torn one when a write fails.
func putFile(dir, key string, r io.Reader) error {
	name := filepath.Join(dir, filepath.FromSlash(key))
	f, err := createTemporary(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// createTemporary creates a temporary file beside the file of the given name, and the missing
// folders above it.
func createTemporary(name string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return nil, err
	}
	return os.OpenFile(fmt.Sprintf("%s.%016x.tmp", name, rand.Uint64()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
}

// isLinkRefused reports whether the file system has no hard links. Some network and user-space ones
// answer EPERM.
func isLinkRefused(err error) bool { return errors.Is(err, fs.ErrPermission) }

// createWithoutLink creates the file under its own name and then writes it. A reader may see it
// half written, and a writer that is killed in between leaves it torn. The checksum inside a
// manifest shows both, and a restore falls back to the manifest before.
func createWithoutLink(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// FolderCleanup is for a caller that writes below a prefix and deletes every object again: a
// file:// bucket keeps the folders of deleted objects. cleanUp deletes those folders on the way to
// prefix that did not exist when FolderCleanup was called and that are empty. In other buckets it
// does nothing.
func (b *Bucket) FolderCleanup(prefix string) (cleanUp func()) {
	var absent []string // the deepest first
	if b.options.dir != "" {
		for dir := filepath.Join(b.options.dir, filepath.FromSlash(path.Dir(prefix+"x"))); ; dir = filepath.Dir(dir) {
			if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
				absent = append(absent, dir)
			}
			if dir == b.options.dir {
				break
			}
		}
	}
	return func() {
		for _, dir := range absent {
			_ = os.Remove(dir) // fails if another writer has put something there
		}
	}
}

// isTemporary reports whether a key is that of a temporary file, ours or fileblob's, which a killed
// writer leaves behind.
func isTemporary(key string) bool { return temporaryName.MatchString(key) }

var temporaryName = regexp.MustCompile(`\.[0-9a-f]{16}\.tmp$`)

// IsDiskFull reports whether an error says that a disk or a quota has no space left.
func IsDiskFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// LocalPath returns the path of the file that holds an object of a file:// bucket. ok is false for
// other buckets.
func (b *Bucket) LocalPath(key string) (file string, ok bool) {
	if b.options.dir == "" {
		return "", false
	}
	return filepath.Join(b.options.dir, filepath.FromSlash(key)), true
}
