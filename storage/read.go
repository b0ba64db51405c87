package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
)

// Read returns the bytes of an object. When the connection is cut, it goes on where it stopped. The
// reader's last Read returns [ErrCorrupt] instead of io.EOF if size or checksum of the bytes differ
// from o's: whatever was read before must then not be used. No driver makes this check: none
// notices a flipped bit in a multipart object or a ranged read.
func (b *Bucket) Read(ctx context.Context, o Object) (io.ReadCloser, error) {
	if err := checkKey(o.Key); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	end := int64(wholeObject)
	if o.Size > readBlock {
		end = readBlock
	}
	first, err := b.openRange(ctx, o.Key, 0, end)
	if err != nil {
		cancel()
		return nil, err
	}
	first.cancel = cancel
	if first.size != o.Size {
		first.Close()
		return nil, fmt.Errorf("reading %s: %w: it has %d bytes, not %d", o.Key, ErrCorrupt, first.size, o.Size)
	}
	var r io.ReadCloser = first
	if end != wholeObject {
		r = newParallelReader(ctx, cancel, first)
	}
	return &verifiedReader{r: r, o: o, hash: sha256.New()}, nil
}

// verifiedReader compares size and checksum of a stream with those of its record.
type verifiedReader struct {
	r    io.ReadCloser
	o    Object
	n    int64
	hash hash.Hash
	err  error
}

func (v *verifiedReader) Close() error { return v.r.Close() }

func (v *verifiedReader) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.r.Read(p)
	v.n += int64(n)
	v.hash.Write(p[:n])
	if err == io.EOF {
		if got := hex.EncodeToString(v.hash.Sum(nil)); v.n != v.o.Size || got != v.o.SHA256 {
			err = fmt.Errorf("reading %s: %w: %d bytes with sha256 %s, expected %d bytes with %s",
				v.o.Key, ErrCorrupt, v.n, got, v.o.Size, v.o.SHA256)
		}
	}
	v.err = err
	return n, err
}

// Reader reads an object, or a range of it, and reconnects whenever the connection is cut. It
// checks no checksum.
type Reader struct {
	ctx      context.Context
	cancel   context.CancelFunc // of ctx; nil when it is the caller's own
	bucket   *Bucket
	key      string
	offset   int64 // of the next byte
	end      int64 // of the range, or wholeObject until the size is known
	size     int64 // of the whole object; -1 before the first connection
	modified time.Time

	body    *blob.Reader // nil between connections
	attempt *attempt     // of body
	retries retryState   // between connections
}

// wholeObject is the end of a range that goes to the end of an object of unknown size.
const wholeObject = -1

// OpenAt reads an object from an offset in bytes to its end. The caller must close the reader.
func (b *Bucket) OpenAt(ctx context.Context, key string, offset int64) (*Reader, error) {
	return b.openRange(ctx, key, offset, wholeObject)
}

func (b *Bucket) openRange(ctx context.Context, key string, offset, end int64) (*Reader, error) {
	r := &Reader{
		ctx: ctx, bucket: b, key: key, offset: offset, end: end, size: -1,
		retries: retryState{options: b.options, act: reading, key: key},
	}
	_, err := retry(ctx, b.options, reading, key, func(*attempt) (struct{}, error) { return struct{}{}, r.connect() })
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Size returns the size of the whole object in bytes.
func (r *Reader) Size() int64 { return r.size }

// openRange returns a reader of another range of the same object. It connects with its first Read.
func (r *Reader) openRange(offset, end int64) *Reader {
	return &Reader{
		ctx: r.ctx, bucket: r.bucket, key: r.key, offset: offset, end: end, size: r.size, modified: r.modified,
		retries: retryState{options: r.bucket.options, act: reading, key: r.key},
	}
}

// connect opens a connection for the bytes that are left. It refuses an object that was replaced
// since the first connection.
func (r *Reader) connect() error {
	a := newAttempt(r.ctx, r.bucket.options, r.bucket.options.idleTimeout)
	length := int64(-1)
	if r.end != wholeObject && r.end != r.size {
		length = r.end - r.offset
	}
	body, err := r.bucket.blob.NewRangeReader(a.ctx, r.key, r.offset, length, readerOptions)
	if err != nil {
		err = a.withCause(err)
		a.end()
		return err
	}
	if r.size >= 0 && (body.Size() != r.size || !body.ModTime().Equal(r.modified)) {
		body.Close()
		a.end()
		return &finalError{fmt.Errorf("%w: the object was replaced while it was read", ErrCorrupt)}
	}
	a.pauseWatchdog()
	r.size, r.modified, r.body, r.attempt = body.Size(), body.ModTime(), body, a
	if r.end == wholeObject || r.end > r.size {
		r.end = r.size
	}
	return nil
}

func (r *Reader) disconnect() {
	if r.body != nil {
		r.body.Close()
		r.attempt.end()
		r.body, r.attempt = nil, nil
	}
}

// Close closes the connection. It never fails.
func (r *Reader) Close() error {
	r.disconnect()
	if r.cancel != nil {
		r.cancel()
	}
	return nil
}

// Read implements io.Reader. It returns io.EOF only at the true end of the object or range.
func (r *Reader) Read(p []byte) (int, error) {
	for {
		if r.offset >= r.end {
			return 0, io.EOF
		}
		n, err := 0, error(nil)
		if r.body == nil {
			err = r.connect()
		} else {
			r.attempt.resetWatchdog()
			n, err = r.body.Read(p)
			r.attempt.pauseWatchdog() // while the consumer works, the store is not idle
			r.attempt.transferred(n, 0)
			if r.offset+int64(n) > r.end {
				n = int(r.end - r.offset)
			}
			r.offset += int64(n)
		}
		if n > 0 {
			r.retries.reset()
			if err != nil {
				r.disconnect()
			}
			return n, nil
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			if r.attempt != nil {
				err = r.attempt.withCause(err)
			}
			r.disconnect()
			if err := r.retries.wait(r.ctx, err); err != nil {
				return 0, err
			}
		}
	}
}

// Revision identifies the present content of an object, by the store's ETag, the size and the time
// of the last write. An object that is replaced gets another revision.
func (b *Bucket) Revision(ctx context.Context, key string) (string, error) {
	return retry(ctx, b.options, reading, key, func(a *attempt) (string, error) {
		attributes, err := b.blob.Attributes(a.ctx, key)
		if err != nil {
			return "", err
		}
		written := attributes.ModTime.UTC().Format("2006-01-02T15:04:05.999999999Z")
		return fmt.Sprintf("%s %d %s", attributes.ETag, attributes.Size, written), nil
	})
}

// readerOptions keep the S3 client from printing that a store has no checksum of what is read: it
// prints plain text on standard error, and this package has checksums of its own.
var readerOptions = &blob.ReaderOptions{BeforeRead: func(as func(any) bool) error {
	var options *[]func(*s3.Options)
	if as(&options) {
		*options = append(*options, func(o *s3.Options) { o.DisableLogOutputChecksumValidationSkipped = true })
	}
	return nil
}}
