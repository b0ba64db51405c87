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

// Bucket is a bucket of any of the five kinds, made reliable: every operation is retried, has a watchdog, and ends in one of the errors of this
// package. All methods may be called at once from many goroutines.
type Bucket struct {
	blob    *blob.Bucket
	options Options
}

// Close releases the connection. Operations under way fail.
func (b *Bucket) Close() error { return b.blob.Close() }

// Object names stored bytes: what a manifest or an index keeps of them.
type Object struct {
	Key    string `json:"key"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // hexadecimal
}

// MaxGetSize is the most that [Bucket.Get] reads into memory.
const MaxGetSize = 256 << 20

// Get returns the bytes of a small object (at most 256 MiB). Nothing is known of their checksum; see [Bucket.Read] for objects with one.
func (b *Bucket) Get(ctx context.Context, key string) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	return retry(ctx, b.options, reading, key, func(a *attempt) ([]byte, error) { return b.get(a, key) })
}

func (b *Bucket) get(a *attempt, key string) ([]byte, error) {
	r, err := b.blob.NewReader(a.ctx, key, nil)
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
		return nil, io.ErrUnexpectedEOF // some drivers end a body that was cut like one that is whole
	}
	return data, nil
}

// GetTwice returns the bytes of a small record that nothing else vouches for: two reads in a row have to agree, since a flipped bit passes every driver.
func (b *Bucket) GetTwice(ctx context.Context, key string) ([]byte, error) {
	last, err := b.Get(ctx, key)
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

// List returns the keys that begin with prefix, in order. Unfinished files of a file:// bucket are left out.
func (b *Bucket) List(ctx context.Context, prefix string) ([]string, error) {
	entries, err := b.ListEntries(ctx, prefix)
	if err != nil {
		return nil, err
	}
	keys := make([]string, 0, len(entries))
	for _, e := range entries {
		if !e.unfinished {
			keys = append(keys, e.Key)
		}
	}
	return keys, nil
}

// Entry is one line of a listing.
type Entry struct {
	Key        string
	Size       int64
	Modified   time.Time // by the store's clock
	unfinished bool      // a temporary file that a killed writer left in a file:// bucket
}

// ListEntries lists a prefix page by page, each page with its own attempts.
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
				// fileblob walks the directory and trips over another writer's temporary file that is gone a moment later.
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

// Delete removes an object. An object that is not there is no error: a deletion whose answer was lost has happened all the same.
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

// checkKey refuses keys that would mean different things to different drivers.
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

// watchedReader tells the watchdog of an attempt about every byte that arrives.
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
