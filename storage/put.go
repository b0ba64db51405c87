package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"gocloud.dev/blob"
)

// Large objects are uploaded in parts of uploadPart bytes, uploadStreams of them at once. Two
// objects at once, as in a commit, then stay below 256 MiB of memory; the defaults of s3blob take
// 107 MB an object. An S3 object may have 10,000 parts: 80 GB.
const (
	uploadPart    = 8 << 20
	uploadStreams = 4
)

// Put writes an object and returns its size and checksum. write produces the bytes: it is called
// once for each attempt, from another goroutine, and has returned when Put returns. size is the
// number of bytes that write will produce, or negative when it is not known; if it produces another
// number, nothing is stored and Put fails.
//
// An existing object is replaced as a whole or not at all: a failed attempt leaves nothing to see.
func (b *Bucket) Put(ctx context.Context, key string, size int64, write func(io.Writer) error) (Object, error) {
	if err := checkKey(key); err != nil {
		return Object{}, err
	}
	return retry(ctx, b.options, writing, key, func(a *attempt) (Object, error) { return b.put(a, key, size, write) })
}

// put is one attempt. write fills one end of a pipe, the driver reads from the other.
func (b *Bucket) put(a *attempt, key string, size int64, write func(io.Writer) error) (Object, error) {
	pr, pw := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := write(pw)
		pw.CloseWithError(err) // io.EOF when nil
		written <- err
	}()
	body := &uploadBody{r: pr, a: a, size: size, hash: sha256.New()}
	err := b.store(a, key, body)
	pr.CloseWithError(errAbandoned) // ends a write whose bytes the driver no longer reads
	if werr := <-written; werr != nil && !errors.Is(werr, errAbandoned) {
		return Object{}, &finalError{werr}
	}
	if body.wrong != nil {
		return Object{}, body.wrong
	}
	if err != nil {
		return Object{}, err
	}
	if !body.ended {
		return Object{}, errors.New("the driver reported success before it had read everything")
	}
	return Object{Key: key, Size: body.n, SHA256: hex.EncodeToString(body.hash.Sum(nil))}, nil
}

func (b *Bucket) store(a *attempt, key string, r io.Reader) error {
	if b.options.dir != "" {
		return putFile(b.options.dir, key, r)
	}
	// Always Upload: below NewWriter and WriteAll azureblob races with itself when a write fails or
	// is cancelled.
	return b.blob.Upload(a.ctx, key, r, &blob.WriterOptions{
		ContentType: contentType(key), BufferSize: uploadPart, MaxConcurrency: uploadStreams,
	})
}

var errAbandoned = errors.New("the upload was abandoned")

// PutBytes is [Bucket.Put] of bytes in memory.
func (b *Bucket) PutBytes(ctx context.Context, key string, data []byte) (Object, error) {
	return b.Put(ctx, key, int64(len(data)), func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// uploadBody is the reader that the driver uploads: it counts and hashes the bytes and resets the
// watchdog. When its source fails it cancels the attempt before it returns the error, because a
// driver that only sees an error closes its writer, and closing commits the torn object.
type uploadBody struct {
	r     io.Reader
	a     *attempt
	size  int64 // that the source must produce; negative: not known
	n     int64
	hash  hash.Hash
	ended bool
	wrong error // of the source, not of the store
}

func (r *uploadBody) Read(p []byte) (int, error) {
	if err := context.Cause(r.a.ctx); err != nil {
		return 0, err
	}
	n, err := r.r.Read(p)
	if n > 0 {
		r.a.resetWatchdog()
		r.a.transferred(0, n)
		r.hash.Write(p[:n])
		r.n += int64(n)
	}
	switch {
	case err == nil && (r.size < 0 || r.n <= r.size):
		return n, nil
	case err == io.EOF && (r.size < 0 || r.n == r.size):
		r.ended = true
		return n, io.EOF
	case err == nil:
		err = fmt.Errorf("more than the announced %d bytes were written", r.size)
	case err == io.EOF:
		err = fmt.Errorf("%d bytes were written, not the announced %d", r.n, r.size)
	}
	r.wrong = &finalError{err}
	r.a.cancel(r.wrong)
	return n, r.wrong
}

// contentType goes by the ending. It is always set, because without it gocloud.dev buffers bytes to
// guess.
func contentType(key string) string {
	switch {
	case strings.HasSuffix(key, ".json"):
		return "application/json"
	case strings.HasSuffix(key, ".jsonl"):
		return "application/jsonl"
	case strings.HasSuffix(key, ".md"):
		return "text/markdown"
	case strings.HasSuffix(key, ".tar"):
		return "application/x-tar"
	}
	return "application/octet-stream"
}
