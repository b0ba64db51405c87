package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"gocloud.dev/blob"
)

// Bucket is a bucket of any of the five kinds, made reliable: every operation is retried, has a
// watchdog, and ends in one of the errors of this package. All methods are safe for concurrent use.
// [Open] makes one.
type Bucket struct {
	blob    *blob.Bucket
	options Options
}

// Close releases the connection. Operations under way fail.
func (b *Bucket) Close() error { return b.blob.Close() }

// Object identifies stored bytes: what a manifest or an index records of them.
type Object struct {
	Key    string `json:"key"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // hexadecimal
}

// MaxGetSize is the largest object in bytes that [Bucket.Get] reads into memory.
const MaxGetSize = 256 << 20

// Get returns the bytes of an object of at most [MaxGetSize]. They are checked against no checksum:
// see [Bucket.GetTwice] and [Bucket.Read].
func (b *Bucket) Get(ctx context.Context, key string) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	return retry(ctx, b.options, reading, key, func(a *attempt) ([]byte, error) { return b.get(a, key) })
}

func (b *Bucket) get(a *attempt, key string) ([]byte, error) {
	r, err := b.blob.NewReader(a.ctx, key, readerOptions)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(&watchedReader{r, a}, MaxGetSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxGetSize {
		return nil, &finalError{fmt.Errorf("larger than %d MiB", MaxGetSize>>20)}
	}
	if int64(len(data)) != r.Size() {
		return nil, io.ErrUnexpectedEOF // some drivers end a cut body with io.EOF
	}
	return data, nil
}

// GetTwice returns the bytes of a small object whose checksum is recorded nowhere, such as
// run.json. It reads until two reads in a row agree, because no driver notices a flipped bit; if
// none do, the error is [ErrCorrupt]. Some stores answer 404 for an object that is there while they
// are in trouble. So a missing object is asked for again, after a wait, where others lie in its
// folder.
func (b *Bucket) GetTwice(ctx context.Context, key string) ([]byte, error) {
	last, err := b.Get(ctx, key)
	if errors.Is(err, ErrNotFound) && b.mayHold(ctx, key) {
		if err := b.waitAfterMissing(ctx); err != nil {
			return nil, fmt.Errorf("%s %s: %w", reading, key, err)
		}
		last, err = b.Get(ctx, key)
	}
	for range maxDisagreements {
		if err != nil {
			return nil, err
		}
		before := last
		if last, err = b.Get(ctx, key); err == nil && bytes.Equal(before, last) {
			return last, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("reading %s: %w: %d reads gave different bytes each time", key, ErrCorrupt, maxDisagreements+1)
}

const maxDisagreements = 3

// mayHold reports whether anything lies in the folder of a key. A folder that cannot be listed may
// hold something.
func (b *Bucket) mayHold(ctx context.Context, key string) bool {
	folder := key[:strings.LastIndexByte(key, '/')+1]
	found, err := retry(ctx, b.options, listing, folder, func(a *attempt) (bool, error) {
		objects, _, err := b.blob.ListPage(a.ctx, blob.FirstPageToken, 1, &blob.ListOptions{Prefix: folder})
		return len(objects) > 0, err
	})
	return found || err != nil
}

// waitAfterMissing is the wait before a missing object is asked for again.
func (b *Bucket) waitAfterMissing(ctx context.Context) error {
	select {
	case <-time.After(b.options.firstWait):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// List returns the keys that begin with prefix, in order. Temporary files of a file:// bucket are
// left out.
func (b *Bucket) List(ctx context.Context, prefix string) ([]string, error) {
	entries, err := b.ListEntries(ctx, prefix)
	if err != nil {
		return nil, err
	}
	keys := make([]string, 0, len(entries))
	for _, e := range entries {
		if !e.Temporary {
			keys = append(keys, e.Key)
		}
	}
	return keys, nil
}

// Entry is one object in a listing.
type Entry struct {
	Key       string
	Size      int64     // bytes
	Modified  time.Time // by the store's clock
	Temporary bool      // a file that a killed writer left in a file:// bucket
}

// ListEntries returns the objects whose keys begin with prefix, in order of their keys. Each page
// of the listing is retried by itself. Temporary files of a file:// bucket are included, so that
// retention deletes them.
func (b *Bucket) ListEntries(ctx context.Context, prefix string) ([]Entry, error) {
	var all []Entry
	for token := blob.FirstPageToken; len(token) > 0; {
		type page struct {
			objects []*blob.ListObject
			next    []byte
		}
		p, err := retry(ctx, b.options, listing, prefix, func(a *attempt) (page, error) {
			objects, next, err := b.blob.ListPage(a.ctx, token, listPageSize, &blob.ListOptions{Prefix: prefix})
			if err != nil && b.options.dir != "" && classify(err) == classMissing {
				// fileblob walks the directory. It fails when another writer's temporary file is
				// renamed meanwhile.
				err = fmt.Errorf("a file vanished from the listing: %v", err)
			}
			return page{objects, next}, err
		})
		if err != nil {
			return nil, err
		}
		for _, o := range p.objects {
			all = append(all, Entry{o.Key, o.Size, o.ModTime, b.options.dir != "" && isTemporary(o.Key)})
		}
		token = p.next
	}
	return all, nil
}

const listPageSize = 1000

// Delete removes an object. A missing object is no error, because a deletion whose answer was lost
// has happened.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	_, err := retry(ctx, b.options, deleting, key, func(a *attempt) (struct{}, error) {
		err := b.blob.Delete(a.ctx, key)
		if err != nil && classify(err) == classMissing {
			err = nil
		}
		return struct{}{}, err
	})
	return err
}

// checkKey refuses keys that mean different things to different drivers.
func checkKey(key string) error {
	switch {
	case key == "", strings.HasPrefix(key, "/"), strings.HasSuffix(key, "/"), strings.Contains(key, "//"):
		return fmt.Errorf("key %q: has an empty part", key)
	case !utf8.ValidString(key), strings.ContainsFunc(key, func(r rune) bool { return r < 32 || r == 127 || r == '\\' }):
		return fmt.Errorf("key %q: has a character that not every store takes", key)
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "." || part == ".." {
			return fmt.Errorf("key %q: has the part %q", key, part)
		}
	}
	return nil
}

// watchedReader resets the watchdog of an attempt with every read that brings bytes.
type watchedReader struct {
	r io.Reader
	a *attempt
}

func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 {
		w.a.resetWatchdog()
		w.a.transferred(n, 0)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = w.a.withCause(err)
	}
	return n, err
}
