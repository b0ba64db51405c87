package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"

	"github.com/cijepa/cijepa/storage"
)

// Store is an object store in memory, with a driver for gocloud.dev. It behaves as badly as real
// drivers may: a writer that is closed commits what it has unless its context was cancelled, and a
// plan of [Fault]s spoils single calls. It fails the test if the rules of the bucket are broken
// (see rules.go).
type Store struct {
	t testing.TB

	mu      sync.Mutex
	objects map[string]object
	history [][]driver.ListObject // the listing after each change, for stale listings
	calls   int
	plan    func(Call) Fault
	rules   rules
}

type object struct {
	data     []byte
	modified time.Time
}

// NewStore returns an empty store that reports broken rules to t.
func NewStore(t testing.TB) *Store {
	return &Store{
		t: t, objects: make(map[string]object), history: [][]driver.ListObject{nil},
		rules: rules{committed: make(map[string]string)},
	}
}

// Open opens the store and closes it when the test ends. A store can be opened many times, as by
// the attempts of a run. The calls of opening meet no fault and are not counted.
func (s *Store) Open(o storage.Options) *storage.Bucket {
	s.t.Helper()
	s.mu.Lock()
	plan, calls := s.plan, s.calls
	s.plan = nil
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.plan, s.calls = plan, calls
		s.mu.Unlock()
	}()
	return Open(s.t, s.URL(), o)
}

// URL returns a URL by which storage.Open opens the store. The plan applies to the calls of opening
// too.
func (s *Store) URL() string { return openers.add(s.driver) }

// driver returns the store as a bucket of gocloud.dev.
func (s *Store) driver() *blob.Bucket { return blob.NewBucket(&bucket{s}) }

// Plan sets which faults the calls from now on have, and counts calls from 1 again. A nil plan is a
// healthy store.
func (s *Store) Plan(plan func(Call) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan, s.calls = plan, 0
}

// Calls returns the number of calls since the last Plan.
func (s *Store) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// Objects returns a copy of everything stored, by key.
func (s *Store) Objects() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string][]byte, len(s.objects))
	for key, o := range s.objects {
		all[key] = bytes.Clone(o.data)
	}
	return all
}

// Corrupt changes the bytes of a stored object, as a failing disk does: its time and the rules do
// not see it.
func (s *Store) Corrupt(key string, change func([]byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.objects[key]
	o.data = change(bytes.Clone(o.data))
	s.objects[key] = o
}

// call counts a call and returns its fault. It carries out the faults that act before the call
// itself.
func (s *Store) call(ctx context.Context, op Op, key string, conditional bool) (Fault, error) {
	s.mu.Lock()
	s.calls++
	c := Call{N: s.calls, Op: op, Key: key, Conditional: conditional}
	fault := None
	if s.plan != nil {
		fault = s.plan(c)
	}
	s.mu.Unlock()
	if !fault.Applies(c) {
		return None, ctx.Err()
	}
	return fault, fault.before(ctx, c)
}

// put stores an object.
func (s *Store) put(key string, data []byte, ifNotExist bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.objects[key]; there && ifNotExist {
		return coded{gcerrors.FailedPrecondition, "the object exists"}
	}
	s.checkWrite(key, data)
	s.objects[key] = object{data, time.Now()}
	s.remember()
	return nil
}

func (s *Store) remove(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.objects[key]; !there {
		return coded{gcerrors.NotFound, "no such object"}
	}
	s.checkDelete(key)
	delete(s.objects, key)
	s.remember()
	return nil
}

// remember appends the current listing to the history. mu must be held.
func (s *Store) remember() {
	var all []driver.ListObject
	for key, o := range s.objects {
		all = append(all, driver.ListObject{Key: key, Size: int64(len(o.data)), ModTime: o.modified})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Key < all[j].Key })
	s.history = append(s.history, all)
}

// staleBy is the number of changes by which a stale listing lags behind.
const staleBy = 5

// bucket is the driver.
type bucket struct{ s *Store }

func (b *bucket) Close() error            { return nil }
func (b *bucket) As(any) bool             { return false }
func (b *bucket) ErrorAs(error, any) bool { return false }
func (b *bucket) Copy(context.Context, string, string, *driver.CopyOptions) error {
	return errUnsupported
}
func (b *bucket) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	return "", errUnsupported
}

var errUnsupported = coded{gcerrors.Unimplemented, "not in this store"}

func (b *bucket) ErrorCode(err error) gcerrors.ErrorCode {
	var c coded
	if errors.As(err, &c) {
		return c.code
	}
	return gcerrors.Unknown
}

// coded is an error with the code that a driver gives it.
type coded struct {
	code gcerrors.ErrorCode
	text string
}

func (c coded) Error() string { return c.text }

func (b *bucket) Attributes(ctx context.Context, key string) (*driver.Attributes, error) {
	if _, err := b.s.call(ctx, Read, key, false); err != nil {
		return nil, err
	}
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	o, there := b.s.objects[key]
	if !there {
		return nil, coded{gcerrors.NotFound, "no such object"}
	}
	etag := fmt.Sprintf("%q", o.modified.Format(time.RFC3339Nano))
	return &driver.Attributes{Size: int64(len(o.data)), ModTime: o.modified, ETag: etag}, nil
}

func (b *bucket) ListPaged(ctx context.Context, opts *driver.ListOptions) (*driver.ListPage, error) {
	fault, err := b.s.call(ctx, List, opts.Prefix, false)
	if err != nil {
		return nil, err
	}
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	now := len(b.s.history) - 1
	if fault == Stale {
		now = max(0, now-staleBy)
	}
	page := &driver.ListPage{}
	for _, o := range b.s.history[now] {
		if !strings.HasPrefix(o.Key, opts.Prefix) || o.Key <= string(opts.PageToken) {
			continue
		}
		if opts.PageSize > 0 && len(page.Objects) == opts.PageSize {
			page.NextPageToken = []byte(page.Objects[len(page.Objects)-1].Key)
			break
		}
		page.Objects = append(page.Objects, &o)
	}
	return page, nil
}

func (b *bucket) NewRangeReader(
	ctx context.Context, key string, offset, length int64, _ *driver.ReaderOptions,
) (driver.Reader, error) {
	fault, err := b.s.call(ctx, Read, key, false)
	if err != nil {
		return nil, err
	}
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	o, there := b.s.objects[key]
	if !there {
		return nil, coded{gcerrors.NotFound, "no such object"}
	}
	data := o.data[min(offset, int64(len(o.data))):]
	if length >= 0 {
		data = data[:min(length, int64(len(data)))]
	}
	r := &reader{Reader: bytes.NewReader(data), attributes: driver.ReaderAttributes{
		ContentType: "application/octet-stream", Size: int64(len(o.data)), ModTime: o.modified,
	}}
	switch fault {
	case Cut:
		r.Reader = io.MultiReader(bytes.NewReader(data[:len(data)/2]), failing{io.ErrUnexpectedEOF})
	case CutQuietly:
		r.Reader = bytes.NewReader(data[:len(data)/2])
	case Stalled:
		r.Reader = io.MultiReader(bytes.NewReader(data[:len(data)/2]), stalled{ctx})
	case Flipped:
		data = slices.Clone(data)
		if len(data) > 0 {
			data[len(data)/2] ^= 1
		}
		r.Reader = bytes.NewReader(data)
	}
	return r, nil
}

type reader struct {
	io.Reader
	attributes driver.ReaderAttributes
}

func (r *reader) Close() error                         { return nil }
func (r *reader) Attributes() *driver.ReaderAttributes { return &r.attributes }
func (r *reader) As(any) bool                          { return false }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// stalled blocks until its context ends.
type stalled struct{ ctx context.Context }

func (s stalled) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func (b *bucket) Delete(ctx context.Context, key string, _ *driver.DeleteOptions) error {
	fault, err := b.s.call(ctx, Delete, key, false)
	if err != nil {
		return err
	}
	err = b.s.remove(key)
	if err == nil && fault == Unanswered {
		err = errConnection
	}
	return err
}

func (b *bucket) NewTypedWriter(
	ctx context.Context, key, contentType string, opts *driver.WriterOptions,
) (driver.Writer, error) {
	fault, err := b.s.call(ctx, Write, key, opts.IfNotExist)
	if err != nil {
		return nil, err
	}
	return &writer{s: b.s, ctx: ctx, key: key, ifNotExist: opts.IfNotExist, fault: fault}, nil
}

type writer struct {
	s          *Store
	ctx        context.Context
	key        string
	ifNotExist bool
	fault      Fault
	data       bytes.Buffer
	torn       bool
}

// Write is called below NewWriter and WriteAll, with which azureblob races with itself when a write
// fails: only Upload may be used.
func (w *writer) Write(p []byte) (int, error) {
	w.s.t.Errorf("%s is written through NewWriter or WriteAll; azureblob races there", w.key)
	return w.data.Write(p)
}

func (w *writer) Upload(r io.Reader) error {
	if w.fault == Torn {
		w.torn = true
		io.CopyN(&w.data, r, 100)
		return errConnection
	}
	switch w.fault {
	case Stalled:
		io.CopyN(&w.data, r, 100)
		<-w.ctx.Done()
		return w.ctx.Err()
	case Thin:
		select {
		case <-time.After(thinness):
		case <-w.ctx.Done():
			return w.ctx.Err()
		}
	}
	_, err := w.data.ReadFrom(r)
	return err
}

// Close commits what was written, even after a failed Upload, as real drivers do.
func (w *writer) Close() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if w.torn {
		return errConnection
	}
	if err := w.s.put(w.key, w.data.Bytes(), w.ifNotExist && w.fault != Unconditional); err != nil {
		return err
	}
	switch w.fault {
	case Unanswered:
		return errConnection
	case UnansweredTwice:
		return coded{gcerrors.FailedPrecondition, "the object exists"}
	}
	return nil
}
