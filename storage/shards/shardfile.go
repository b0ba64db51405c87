package shards

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// shardFile is a whole shard on the local disk, open for reading. A file of the cache has a shared
// lock while it is open, which keeps other processes from evicting it. It is read and not mapped
// into memory: a failing disk or a truncated file gives a read error, and a mapping would crash the
// process.
type shardFile struct {
	name     string
	file     *os.File
	size     int64
	sum      string
	modified atomic.Int64 // modification time in nanoseconds, from before its bytes were checked
}

var (
	// errDamaged: a local file has other bytes than its name or its index says.
	errDamaged = errors.New("damaged")
	// errUnreadable: the disk fails to read a local file.
	errUnreadable = errors.New("unreadable")
)

// openShard opens a local file and checks its size and checksum.
//
// In a bucket, links are followed: a packed dataset may be laid out of them. In the cache they are
// not, because none of its files is one.
func openShard(name string, size int64, sum string, inCache bool) (*shardFile, error) {
	look, flags := os.Stat, os.O_RDONLY
	if inCache {
		look, flags = os.Lstat, os.O_RDONLY|unix.O_NOFOLLOW
	}
	if info, err := look(name); err == nil && !info.Mode().IsRegular() { // opening a pipe waits for its writer
		return nil, fmt.Errorf("%s is no regular file: %w", name, errDamaged)
	}
	file, err := os.OpenFile(name, flags, 0)
	if err != nil {
		return nil, err
	}
	shard, err := adoptShard(file, name, size, sum)
	if err != nil {
		return nil, err
	}
	if err := shard.check(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), shard.close())
	}
	return shard, nil
}

// adoptShard locks an open file, checks its size and makes a shardFile of it. It closes the file on
// errors.
func adoptShard(file *os.File, name string, size int64, sum string) (*shardFile, error) {
	// EWOULDBLOCK: another process holds the exclusive lock and is evicting the file. The open file
	// stays readable after its name is gone.
	if err := flock(file, unix.LOCK_SH); err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(err, file.Close())
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if info.Size() != size {
		err := fmt.Errorf("%s has %d bytes, not %d: %w", name, info.Size(), size, errDamaged)
		return nil, errors.Join(err, file.Close())
	}
	shard := &shardFile{name: name, file: file, size: size, sum: sum}
	shard.modified.Store(info.ModTime().UnixNano())
	return shard, nil
}

// check compares the file's bytes with the checksum.
func (f *shardFile) check() error {
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(f.file, 0, f.size)); err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	if sum := hex.EncodeToString(hash.Sum(nil)); sum != f.sum {
		return fmt.Errorf("sha256 is %s, not %s: %w", sum, f.sum, errDamaged)
	}
	return nil
}

// read fills into with the bytes from an offset on, and makes sure that they are the ones that were
// checked.
func (f *shardFile) read(into []byte, offset int64) error {
	_, err := f.file.ReadAt(into, offset)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
		if changed := f.checkUnchanged(); changed != nil {
			return changed // says why the file ends here
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return f.checkUnchanged()
}

// checkUnchanged returns an error if the file was changed after it was checked. If only its
// modification time differs, as some file systems report of files that nobody has touched, the
// checksum is computed again.
func (f *shardFile) checkUnchanged() error {
	var now unix.Stat_t
	for {
		err := unix.Fstat(int(f.file.Fd()), &now)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking at %s: %w: %w", f.name, errUnreadable, err)
		}
		break
	}
	written := now.Mtim.Nano()
	if now.Size == f.size && written == f.modified.Load() {
		return nil
	}
	if now.Size != f.size {
		return fmt.Errorf("%s was changed while it was in use: it has %d bytes, not %d: %w",
			f.name, now.Size, f.size, errDamaged)
	}
	if err := f.check(); err != nil {
		return fmt.Errorf("%s was changed while it was in use: %w", f.name, err)
	}
	f.modified.Store(written)
	return nil
}

// flock takes or changes the lock of an open file without waiting: unix.EWOULDBLOCK means that
// another process holds it. On a file system without locks it always succeeds.
func flock(file *os.File, how int) error {
	for {
		err := unix.Flock(int(file.Fd()), how|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err == nil, errors.Is(err, errors.ErrUnsupported), errors.Is(err, unix.ENOLCK):
			return nil
		}
		return fmt.Errorf("locking %s: %w", file.Name(), err)
	}
}

// close leaves the file on the disk.
func (f *shardFile) close() error { return f.file.Close() }

// remove closes the file and deletes it, unless another process has it open: then that process
// deletes it.
func (f *shardFile) remove() error {
	return errors.Join(removeUnshared(f.file, f.name), f.close())
}

// removeOnDisk deletes a file that is not open here, unless another process has it open.
func removeOnDisk(name string) error {
	file, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(removeUnshared(file, name), file.Close())
}

// removeUnshared deletes an open file, unless another process has it open or the name belongs to
// another file.
func removeUnshared(file *os.File, name string) error {
	err := flock(file, unix.LOCK_EX)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	}
	same := false
	if err == nil {
		same, err = hasName(file, name)
	}
	if same {
		err = os.Remove(name)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// lockPoll is the time between two attempts at a lock that another process holds. A waiting flock
// could not be cancelled.
const lockPoll = 50 * time.Millisecond

// lockPart opens and locks the part file of a shard, so that only one of several processes
// downloads it. The lock ends when the file is closed or its process dies. It returns nil if
// another process has turned the file into a whole shard meanwhile.
func lockPart(ctx context.Context, name string) (*os.File, error) {
	file, err := openOwn(name)
	if errors.Is(err, os.ErrNotExist) { // somebody has deleted the folder
		if err = os.MkdirAll(filepath.Dir(name), 0o700); err == nil {
			file, err = openOwn(name)
		}
	}
	if err != nil {
		return nil, err
	}
	for {
		locked := flock(file, unix.LOCK_EX)
		if locked != nil && !errors.Is(locked, unix.EWOULDBLOCK) {
			return nil, errors.Join(locked, file.Close())
		}
		// The process that held the lock may have finished the shard and renamed the file. The file
		// then stays locked for as long as that process has it open.
		same, err := hasName(file, name)
		if err != nil || !same {
			return nil, errors.Join(err, file.Close())
		}
		if locked == nil {
			return file, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), file.Close())
		case <-time.After(lockPoll):
		}
	}
}

// openOwn opens a file of the cache for writing. A link, or a file that has another name as well,
// leads to a file that is none of the cache's: it is an error.
func openOwn(name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if errors.Is(err, unix.ELOOP) {
		return nil, notOwnError(name)
	}
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !info.Mode().IsRegular() || ok && (int(stat.Uid) != os.Geteuid() || stat.Nlink > 1) {
		return nil, errors.Join(notOwnError(name), file.Close())
	}
	return file, nil
}

func notOwnError(name string) error {
	return fmt.Errorf("%s is no file of this cache: somebody else has put it there; "+
		"delete it, or choose another folder for the cache", name)
}

// hasName reports whether the name still belongs to the open file.
func hasName(file *os.File, name string) (bool, error) {
	opened, err := file.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Lstat(name)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return os.SameFile(opened, named), nil
}
