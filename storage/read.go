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

	"gocloud.dev/blob"
)

// Read returns the bytes of an object. A read that is cut goes on where it stopped. The reader's last Read gives [ErrCorrupt] instead of io.EOF
// when the bytes had another size or checksum than o says: what was read before that must not be used. No driver can be trusted with this check:
// none notices a flipped bit in a multipart object or a ranged read.
func (b *Bucket) Read(ctx context.Context, o Object) (io.ReadCloser, error) {
	if err := checkKey(o.Key); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	first := int64(wholeObject)
	if o.Size > readBlock {
		first = readBlock
	}
	s, err := b.openPart(ctx, o.Key, 0, first)
	if err != nil {
		cancel()
		return nil, err
	}
	s.cancel = cancel
	if s.Size != o.Size {
		s.Close()
		return nil, fmt.Errorf("reading %s: %w: it has %d bytes, not %d", o.Key, ErrCorrupt, s.Size, o.Size)
	}
	var r io.ReadCloser = s
	if first != wholeObject {
		r = newParallelReader(ctx, cancel, s)
	}
	return &verifiedReader{r: r, o: o, hash: sha256.New()}, nil
}

// verifiedReader checks a stream against what is known of it.
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
			err = fmt.Errorf("reading %s: %w: %d bytes with sha256 %s, expected %d bytes with %s", v.o.Key, ErrCorrupt, v.n, got, v.o.Size, v.o.SHA256)
		}
	}
	v.err = err
	return n, err
}

// Reader is an object read from an offset to its end across any number of cut connections.
type Reader struct {
	ctx      context.Context
	cancel   context.CancelFunc // of ctx; nil when it is the caller's own
	b        *Bucket
	key      string
	offset   int64 // of the next byte
	end      int64 // of the part that is read, or wholeObject until the size is known
	Size     int64 // of the whole object
	modified time.Time

	r       *blob.Reader // nil between connections
	a       *attempt     // of r
	trouble retryState      // between connections
}

// wholeObject is the end of a part whose object has an unknown size.
const wholeObject = -1

// OpenAt starts to read an object from an offset on. The caller must close the stream.
func (b *Bucket) OpenAt(ctx context.Context, key string, offset int64) (*Reader, error) {
	return b.openPart(ctx, key, offset, wholeObject)
}

func (b *Bucket) openPart(ctx context.Context, key string, offset, end int64) (*Reader, error) {
	s := &Reader{ctx: ctx, b: b, key: key, offset: offset, end: end, Size: -1, trouble: retryState{options: b.options, act: reading, key: key}}
	_, err := retry(ctx, b.options, reading, key, func(*attempt) (struct{}, error) { return struct{}{}, s.connect() })
	if err != nil {
		return nil, err
	}
	return s, nil
}

// part is another stream of the same object, without a connection yet.
func (s *Reader) part(offset, end int64) *Reader {
	return &Reader{
		ctx: s.ctx, b: s.b, key: s.key, offset: offset, end: end, Size: s.Size, modified: s.modified,
		trouble: retryState{options: s.b.options, act: reading, key: s.key},
	}
}

// connect opens a connection for the bytes that are left. It refuses an object that is not the one that the stream began with.
func (s *Reader) connect() error {
	a := newAttempt(s.ctx, s.b.options, s.b.options.idleTimeout)
	length := int64(-1)
	if s.end != wholeObject && s.end != s.Size {
		length = s.end - s.offset
	}
	r, err := s.b.blob.NewRangeReader(a.ctx, s.key, s.offset, length, nil)
	if err != nil {
		err = a.withCause(err)
		a.end()
		return err
	}
	if s.Size >= 0 && (r.Size() != s.Size || !r.ModTime().Equal(s.modified)) {
		r.Close()
		a.end()
		return &finalError{fmt.Errorf("%w: the object was replaced while it was read", ErrCorrupt)}
	}
	a.pauseWatchdog()
	s.Size, s.modified, s.r, s.a = r.Size(), r.ModTime(), r, a
	if s.end == wholeObject || s.end > s.Size {
		s.end = s.Size
	}
	return nil
}

func (s *Reader) disconnect() {
	if s.r != nil {
		s.r.Close()
		s.a.end()
		s.r, s.a = nil, nil
	}
}

// Close ends the reading.
func (s *Reader) Close() error {
	s.disconnect()
	if s.cancel != nil {
		s.cancel()
	}
	return nil
}

// Read implements io.Reader. It returns io.EOF only at the true end of the object or part.
func (s *Reader) Read(p []byte) (int, error) {
	for {
		if s.offset >= s.end {
			return 0, io.EOF
		}
		n, err := 0, error(nil)
		if s.r == nil {
			err = s.connect()
		} else {
			s.a.resetWatchdog()
			n, err = s.r.Read(p)
			s.a.pauseWatchdog() // the consumer's own pauses are not the store's silence
			s.a.transferred(n, 0)
			if s.offset+int64(n) > s.end {
				n = int(s.end - s.offset)
			}
			s.offset += int64(n)
		}
		if n > 0 {
			s.trouble.over()
			if err != nil {
				s.disconnect()
			}
			return n, nil
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			if s.a != nil {
				err = s.a.withCause(err)
			}
			s.disconnect()
			if err := s.trouble.pause(s.ctx, err); err != nil {
				return 0, err
			}
		}
	}
}

// Revision names the present state of an object: another state has another tag.
func (b *Bucket) Revision(ctx context.Context, key string) (string, error) {
	return retry(ctx, b.options, reading, key, func(a *attempt) (string, error) {
		attributes, err := b.blob.Attributes(a.ctx, key)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s %d %s", attributes.ETag, attributes.Size, attributes.ModTime.UTC().Format("2006-01-02T15:04:05.999999999Z")), nil
	})
}
