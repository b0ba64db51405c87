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

// createFile is Create for a file:// bucket, where the driver's own condition is a look and then a rename: two processes can both win that.
// The bytes go to a temporary file, which is then linked to its name, and link fails when the name is taken. Only what is created in this way is
// synced to the disk. Parts are not: a power cut can tear those of the last half minute, which the checksums in their manifest show.
func createFile(dir, key string, data []byte) error {
	name := filepath.Join(dir, filepath.FromSlash(key))
	f, err := temporaryFor(name)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync() // the name must not appear before the bytes, even if the machine stops
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), name); !errors.Is(err, errors.ErrUnsupported) && !isLinkRefused(err) {
		return err
	}
	return createWithoutLink(name, data)
}

// putFile is Put for a file:// bucket, where the driver, when a write fails, puts the torn file in the place of the whole one that was there.
func putFile(dir, key string, r io.Reader) error {
	name := filepath.Join(dir, filepath.FromSlash(key))
	f, err := temporaryFor(name)
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

// temporaryFor makes a file beside the one that it is to become, and the folders on the way.
func temporaryFor(name string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return nil, err
	}
	return os.OpenFile(fmt.Sprintf("%s.%016x.tmp", name, rand.Uint64()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
}

// isLinkRefused tells a file system without hard links (some network and user-space ones say EPERM).
func isLinkRefused(err error) bool { return errors.Is(err, fs.ErrPermission) }

// createWithoutLink claims the name first and fills it then. A reader may see it half written, which the checksum inside a manifest shows; a writer
// that dies there leaves a broken manifest, from which a restore falls back.
func createWithoutLink(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// FolderCleanup is for who writes below a prefix and deletes it all again: a file:// bucket keeps the folders of objects that are gone. It notes the
// folders on the way to prefix that are not there yet; remove deletes those of them that are empty. In any other bucket it does nothing.
func (b *Bucket) FolderCleanup(prefix string) (remove func()) {
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
			_ = os.Remove(dir) // not empty: it is somebody's by now
		}
	}
}

// isTemporary tells the temporary files of createFile and of fileblob, which a killed writer leaves behind.
func isTemporary(key string) bool { return temporaryName.MatchString(key) }

var temporaryName = regexp.MustCompile(`\.[0-9a-f]{16}\.tmp$`)

// IsDiskFull tells an error of a disk or quota without space.
func IsDiskFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// LocalPath returns the file that holds an object of a file:// bucket, and whether the bucket is one.
func (b *Bucket) LocalPath(key string) (file string, ok bool) {
	if b.options.dir == "" {
		return "", false
	}
	return filepath.Join(b.options.dir, filepath.FromSlash(key)), true
}
