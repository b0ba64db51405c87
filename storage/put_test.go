package storage_test

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// What is put is read, with and without an announced size.
func TestReadReturnsWhatWasPut(t *testing.T) {
	storagetest.EachKind(t, func(t *testing.T, b *storage.Bucket) {
		data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		for _, size := range []int64{int64(len(data)), -1} {
			o, err := b.Put(t.Context(), "a/b", size, func(w io.Writer) error { _, err := w.Write(data); return err })
			if err != nil || o.SHA256 != hexSum(data) || o.Size != int64(len(data)) {
				t.Fatalf("%+v, %v", o, err)
			}
			r, err := b.Read(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		}
	})
}

// A source that fails, or writes too little or too much, stores nothing and is not asked again.
func TestAbandonedPutStoresNothing(t *testing.T) {
	source := errors.New("the device is gone")
	storagetest.EachKind(t, func(t *testing.T, b *storage.Bucket) {
		for name, put := range map[string]struct {
			size  int64
			write func(io.Writer) error
		}{
			"source fails": {-1, func(w io.Writer) error { w.Write(make([]byte, 100)); return source }},
			"too short":    {101, func(w io.Writer) error { _, err := w.Write(make([]byte, 100)); return err }},
			"too long":     {99, func(w io.Writer) error { _, err := w.Write(make([]byte, 100)); return err }},
		} {
			calls := 0
			_, err := b.Put(t.Context(), "torn", put.size, func(w io.Writer) error { calls++; return put.write(w) })
			if err == nil || calls != 1 {
				t.Errorf("%s: %d calls of write, error %v", name, calls, err)
			}
			if name == "source fails" && (!errors.Is(err, source) || err.Error() != "writing torn: the device is gone") {
				t.Errorf("%s: the source's error is not told as it is: %v", name, err)
			}
			if _, err := b.Get(t.Context(), "torn"); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("%s: something was stored: %v", name, err)
			}
		}
		if dir, ok := b.LocalPath(""); ok {
			if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		}
	})
}
