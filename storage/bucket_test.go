package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cijepa/cijepa/storage/storagetest"
)

func TestPutAndRead(t *testing.T) {
	checkpoint.eachKind(t, func(t *testing.T, b *Bucket) {
		data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		for _, size := range []int64{int64(len(data)), -1} {
			o, err := b.Put(t.Context(), "a/b", size, func(w io.Writer) error { _, err := w.Write(data); return err })
			if err != nil || o.SHA256 != checkpoint.sha256Hex(data) || o.Size != int64(len(data)) {
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

func TestAbandonedPutStoresNothing(t *testing.T) {
	source := errors.New("the device is gone")
	checkpoint.eachKind(t, func(t *testing.T, b *Bucket) {
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
			if _, err := b.Get(t.Context(), "torn"); !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: something was stored: %v", name, err)
			}
		}
		if b.options.dir != "" {
			if left, _ := filepath.Glob(b.options.dir + "/*"); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		}
	})
}

// A reader that is closed early leaves no goroutine and no connection behind, however large the object.
func TestReadsCanBeAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(storagetest.NewStore(t).Bucket(), Options{})
		defer b.Close()
		o, err := b.PutBytes(t.Context(), "x", make([]byte, 9*aheadBlock))
		if err != nil {
			t.Fatal(err)
		}
		r, err := b.Read(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, aheadBlock+1)); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Whoever cancels learns from every operation that it was cancelled, and why.
func TestCancellationIsTold(t *testing.T) {
	checkpoint.eachKind(t, func(t *testing.T, b *Bucket) {
		why := errors.New("SIGTERM")
		ctx, cancel := context.WithCancelCause(t.Context())
		o, err := b.PutBytes(ctx, "x", make([]byte, 3*aheadBlock))
		if err != nil {
			t.Fatal(err)
		}
		r, err := b.Read(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		_, put := b.Put(ctx, "y", -1, func(w io.Writer) error {
			cancel(why)
			_, err := w.Write(make([]byte, 1<<20))
			return err
		})
		if !errors.Is(put, context.Canceled) || !errors.Is(put, why) {
			t.Errorf("cancelled put: %v", put)
		}
		if _, err := b.Get(t.Context(), "y"); !errors.Is(err, ErrNotFound) {
			t.Errorf("the cancelled put stored something: %v", err)
		}
		if _, err := io.ReadAll(r); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled read: %v", err)
		}
	})
}

func TestReadFindsDamage(t *testing.T) {
	checkpoint.eachKind(t, func(t *testing.T, b *Bucket) {
		o, err := b.PutBytes(t.Context(), "x", []byte("some bytes"))
		if err != nil {
			t.Fatal(err)
		}
		for name, wrong := range map[string]Object{
			"other bytes": {o.Key, o.Size, checkpoint.sha256Hex([]byte("other byte"))},
			"other size":  {o.Key, o.Size + 1, o.SHA256},
		} {
			r, err := b.Read(t.Context(), wrong)
			if err == nil {
				_, err = io.ReadAll(r)
				r.Close()
			}
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := b.Read(t.Context(), Object{Key: "y"}); !errors.Is(err, ErrNotFound) {
			t.Errorf("missing object: %v", err)
		}
	})
}

func TestCreateHasOneWinner(t *testing.T) {
	const writers = 8
	rounds := 100
	if long() > 0 {
		rounds = 1000
	}
	checkpoint.eachKind(t, func(t *testing.T, b *Bucket) {
		for round := range rounds {
			key := fmt.Sprintf("race/%d", round)
			var won atomic.Int32
			var wg sync.WaitGroup
			for writer := range writers {
				wg.Go(func() {
					created, err := b.Create(t.Context(), key, fmt.Appendf(nil, "writer %d", writer))
					if err != nil {
						t.Error(err)
					}
					if created {
						won.Add(1)
					}
				})
			}
			wg.Wait()
			if n := won.Load(); n != 1 {
				t.Fatalf("round %d has %d winners", round, n)
			}
		}
		keys, err := b.List(t.Context(), "race/")
		if err != nil || len(keys) != rounds {
			t.Errorf("%d keys, %v", len(keys), err)
		}
	})
}

func TestCreateWithoutHardLinks(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x")
	if err := createWithoutLink(name, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := createWithoutLink(name, []byte("second")); !errors.Is(err, os.ErrExist) {
		t.Errorf("second create: %v", err)
	}
	if got, _ := os.ReadFile(name); string(got) != "first" {
		t.Errorf("stored %q", got)
	}
}

func TestListAndDelete(t *testing.T) {
	checkpoint.eachKind(t, func(t *testing.T, b *Bucket) {
		var want []string
		for i := range listPage + 5 { // two pages
			want = append(want, fmt.Sprintf("p/%05d", i))
			if _, err := b.PutBytes(t.Context(), want[i], nil); err != nil {
				t.Fatal(err)
			}
		}
		b.PutBytes(t.Context(), "q", nil)
		if b.options.dir != "" { // what a killed writer leaves
			os.WriteFile(filepath.Join(b.options.dir, "p", "00001.18a2b3c4d5e6f708.tmp"), nil, 0o666)
		}
		got, err := b.List(t.Context(), "p/")
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d keys, want %d; %v", len(got), len(want), err)
		}
		for range 2 { // the second finds nothing, which is no error
			if err := b.Delete(t.Context(), "q"); err != nil {
				t.Error(err)
			}
		}
		if got, err := b.List(t.Context(), "q"); err != nil || len(got) > 0 {
			t.Errorf("after deletion: %v, %v", got, err)
		}
	})
}

func TestKeysAreChecked(t *testing.T) {
	b := checkpoint.openTest(t, "mem://", checkpoint.hasty(t))
	for _, key := range []string{"", "/a", "a/", "a//b", "../a", "a/../b", "a/.", "a\nb", "a\\b", "a\xff"} {
		if _, err := b.PutBytes(t.Context(), key, nil); err == nil {
			t.Errorf("key %q was taken", key)
		}
	}
}

func TestOpenSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	os.WriteFile(file, nil, 0o666)
	for url, want := range map[string]string{
		"":                            "no bucket URL",
		"some/dir":                    "write file:///",
		"S4://bucket":                 `unknown scheme "s4"`,
		"file://home/me/runs":         "write file:///home/me/runs",
		"file://":                     "names no directory",
		"mem://x/a/path":              "write mem://x?prefix=a/path/",
		"file://" + file:              "is a file",
		"file://" + dir + "?prefix=a": "write prefix=a/",
		"mem://?prefix=a":             "write prefix=a/",
		"mem://?prefix=a/../../b/":    "out of the bucket",
		"mem://x#y":                   "behind #",
		"file://" + dir + "?tmp=1":    `"tmp"`,
		"file:///proc/no/such/dir":    "choose a directory",
	} {
		b, err := Open(t.Context(), url, checkpoint.hasty(t))
		if err == nil {
			b.Close()
			t.Errorf("%q was opened", url)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v\nwant: %s", url, err, want)
		}
	}
	_, err := Open(t.Context(), "nope://user:hunter2@b?token=hunter3", checkpoint.hasty(t))
	if err == nil || strings.Contains(err.Error(), "hunter") {
		t.Errorf("a secret is in the message: %v", err)
	}
}

// An S3 bucket of which nobody knows the region, or whose region is none, can never be opened: that is told at once, and as no trouble of the store's.
func TestOpenWithoutARegion(t *testing.T) {
	for name, value := range map[string]string{"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_PROFILE": "", "AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
		"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"} {
		t.Setenv(name, value)
	}
	for url, want := range map[string]string{
		"s3://bucket": "s3://NAME?region=",
		"s3://bucket?endpoint=http://127.0.0.1:1&use_path_style=true": "set AWS_REGION",
		"s3://bucket?region=us%20east%201":                            `"us east 1" is no region`,
	} {
		b, err := Open(t.Context(), url, Options{FirstWait: time.Millisecond, RetryTimeout: time.Minute})
		if err == nil {
			b.Close()
		}
		if err == nil || errors.Is(err, ErrUnreachable) || errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

// A bucket that is only read is not made, and who tries what may be written leaves no folder behind.
func TestBucketsThatMustExist(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "a", "b")
	o := checkpoint.hasty(t)
	o.MustExist = true
	b, err := Open(t.Context(), "file://"+missing, o)
	if err == nil {
		b.Close()
	}
	if !errors.Is(err, ErrNoFolder) || !strings.Contains(err.Error(), missing) {
		t.Errorf("a missing folder: %v", err)
	}
	b = checkpoint.openTest(t, "file://"+dir, o)
	remove := b.NewFolders("runs/r/")
	if err := b.Check(t.Context(), "runs/r/"); err != nil {
		t.Fatal(err)
	}
	b.PutBytes(t.Context(), "runs/other", nil)
	if remove(); !slices.Equal(shards.files(t, dir), []string{"runs"}) || !slices.Equal(shards.files(t, filepath.Join(dir, "runs")), []string{"other"}) {
		t.Errorf("left: %v, %v", shards.files(t, dir), shards.files(t, filepath.Join(dir, "runs")))
	}
	b.Delete(t.Context(), "runs/other")
	if remove(); len(shards.files(t, dir)) > 0 {
		t.Errorf("left: %v", shards.files(t, dir))
	}
}

func TestFileBucketWithPrefix(t *testing.T) {
	dir := t.TempDir()
	b := checkpoint.openTest(t, "file://"+dir+"?prefix=team/", checkpoint.hasty(t))
	if _, err := b.Create(t.Context(), "made/by/create", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.PutBytes(t.Context(), "made/by/put", []byte("2")); err != nil {
		t.Fatal(err)
	}
	keys, err := b.List(t.Context(), "made/")
	if err != nil || !slices.Equal(keys, []string{"made/by/create", "made/by/put"}) {
		t.Errorf("%v, %v", keys, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "team", "made", "by", "create")); err != nil {
		t.Error(err)
	}
}

// A record of which every read is another, and then none comes, is out of reach: nobody knows that it is damaged.
func TestReadsThatNeverAgree(t *testing.T) {
	for last, want := range map[storagetest.Fault]error{storagetest.None: ErrCorrupt, storagetest.Refused: ErrUnreachable} {
		store := storagetest.NewStore(t)
		b := New(store.Bucket(), Options{RetryTimeout: 50 * time.Millisecond})
		if _, err := b.PutBytes(t.Context(), "x", randomBytes(1<<12)); err != nil {
			t.Fatal(err)
		}
		reads := 0
		store.Plan(func(c storagetest.Call) storagetest.Fault {
			if c.Op != storagetest.Read {
				return storagetest.None
			}
			switch reads++; {
			case reads > agreeTries:
				return last
			case reads%2 == 1:
				return storagetest.Flipped
			}
			return storagetest.None
		})
		if _, err := b.GetTwice(t.Context(), "x"); !errors.Is(err, want) {
			t.Errorf("%s at last: %v, want %v", last, err, want)
		}
	}
}
