package storage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// Every operation on a store that never answers ends within a minute.
func TestIdleStoreIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storagetest.NewStore(t)
		b := store.Open(storage.Options{RetryTimeout: time.Nanosecond})
		o, err := b.PutBytes(t.Context(), "x", []byte("1"))
		if err != nil {
			t.Fatal(err)
		}
		store.Plan(storagetest.From(1, storagetest.Silent))
		for name, call := range map[string]func() error{
			"get":    func() error { _, err := b.Get(t.Context(), "x"); return err },
			"read":   func() error { _, err := b.Read(t.Context(), o); return err },
			"list":   func() error { _, err := b.List(t.Context(), ""); return err },
			"put":    func() error { _, err := b.PutBytes(t.Context(), "y", nil); return err },
			"create": func() error { _, err := b.Create(t.Context(), "y", nil); return err },
			"delete": func() error { return b.Delete(t.Context(), "x") },
		} {
			start := time.Now()
			err := call()
			if took := time.Since(start); !errors.Is(err, storage.ErrUnreachable) ||
				!errors.Is(err, storage.ErrSilent) || took > time.Minute {
				t.Errorf("%s: %v after %v", name, err, took)
			}
		}
	})
}

// On a connection so slow that an upload shows no progress for longer than the idle timeout, later
// attempts get more time.
func TestSlowUploadGetsMoreTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storagetest.NewStore(t)
		b := store.Open(storage.Options{})
		store.Plan(storagetest.Always(storagetest.Thin, storagetest.Write))
		if _, err := b.PutBytes(t.Context(), "x", []byte("1")); err != nil || store.Calls() != 3 {
			t.Errorf("%d attempts: %v", store.Calls(), err)
		}
	})
}

// The log line of a retry gives its wait in seconds, in JSON too.
func TestRetriesAreLoggedInSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storagetest.NewStore(t)
		var log bytes.Buffer
		b := store.Open(storage.Options{Log: slog.New(slog.NewJSONHandler(&log, nil))}.WithWaits(2*time.Second, 0))
		store.Plan(storagetest.Nth(1, storagetest.Refused))
		if _, err := b.PutBytes(t.Context(), "x", nil); err != nil {
			t.Fatal(err)
		}
		var line struct {
			Wait float64 `json:"wait_seconds"`
		}
		if err := json.Unmarshal(log.Bytes(), &line); err != nil || line.Wait < 1 || line.Wait > 3 {
			t.Errorf("a wait of about 2 s is %v, %v, in %s", line.Wait, err, &log)
		}
	})
}

// A network that is slow, resets connections or cuts them costs time and no data.
func TestBadNetworkCostsTimeOnly(t *testing.T) {
	if storagetest.Long() == 0 {
		t.Skip("only with CIJEPA_TEST_LONG")
	}
	server := storagetest.Start(t, storagetest.S3, "")
	network := storagetest.StartToxiproxy(t, server)
	b := storagetest.Open(t, server.URLThrough(network.Address), quick(t))
	large := storagetest.RandomBytes(17 << 20)
	for name, bad := range map[string]struct {
		kind       string
		streams    []string
		share      float64
		attributes map[string]any
		size       int
	}{
		"latency of 2 s":     {"latency", []string{"upstream", "downstream"}, 1, map[string]any{"latency": 2000}, 1 << 20},
		"10 KB/s":            {"bandwidth", []string{"upstream", "downstream"}, 1, map[string]any{"rate": 10}, 60_000},
		"30 % resets":        {"reset_peer", []string{"downstream"}, 0.3, map[string]any{"timeout": 0}, 1 << 20},
		"cut after 5 MB":     {"limit_data", []string{"downstream"}, 1, map[string]any{"bytes": 5_000_000}, len(large)},
		"cut of the uploads": {"limit_data", []string{"upstream"}, 0.3, map[string]any{"bytes": 3_000_000}, len(large)},
	} {
		t.Run(name, func(t *testing.T) {
			for _, stream := range bad.streams {
				network.Add(bad.kind, stream, bad.share, bad.attributes)
			}
			defer network.Reset()
			start := time.Now()
			for i := range 3 {
				o, err := b.PutBytes(t.Context(), fmt.Sprintf("%s/%d", bad.kind, i), large[:bad.size])
				if err != nil {
					t.Fatal(err)
				}
				if got, err := storagetest.ReadAll(t, b, o); err != nil || !bytes.Equal(got, large[:bad.size]) {
					t.Fatalf("read %d bytes, %v", len(got), err)
				}
				if created, err := b.Create(t.Context(), fmt.Sprintf("%s/record-%d", bad.kind, i),
					large[:1000]); !created || err != nil {
					t.Fatal(created, err)
				}
			}
			t.Logf("three times %d bytes took %v", bad.size, time.Since(start).Round(time.Millisecond))
		})
	}
}

// Every cancelled operation returns the cancellation and its cause.
func TestCancellationReturnsItsCause(t *testing.T) {
	storagetest.EachKind(t, func(t *testing.T, b *storage.Bucket) {
		why := errors.New("SIGTERM")
		ctx, cancel := context.WithCancelCause(t.Context())
		o, err := b.PutBytes(ctx, "x", make([]byte, 3*storage.AheadBlock))
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
		if _, err := b.Get(t.Context(), "y"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("the cancelled put stored something: %v", err)
		}
		if _, err := io.ReadAll(r); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled read: %v", err)
		}
	})
}

// A refusal is ErrDenied and names the right, also if the driver reports it as a missing object.
func TestDeniedIsNotMissing(t *testing.T) {
	for _, fault := range []storagetest.Fault{storagetest.Denied, storagetest.DeniedAsMissing} {
		synctest.Test(t, func(t *testing.T) {
			store := storagetest.NewStore(t)
			b := store.Open(storage.Options{})
			store.Plan(storagetest.From(1, fault))
			_, get := b.Get(t.Context(), "x")
			_, list := b.List(t.Context(), "x")
			_, put := b.PutBytes(t.Context(), "x", nil)
			for right, err := range map[string]error{"s3:GetObject": get, "s3:ListBucket": list, "s3:PutObject": put,
				"s3:DeleteObject": b.Delete(t.Context(), "x")} {
				if !errors.Is(err, storage.ErrDenied) || errors.Is(err, storage.ErrNotFound) ||
					!strings.Contains(err.Error(), right) {
					t.Errorf("%s: the right %s is not asked for: %v", fault, right, err)
				}
			}
		})
	}
}
