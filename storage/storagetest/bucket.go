package storagetest

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/fileblob" // file:// of EachKind
	"gocloud.dev/blob/memblob"

	"github.com/cijepa/cijepa/storage"
)

// Open opens the bucket of a URL and closes it when the test ends. The test imports the driver;
// file:// and mem:// are there.
func Open(t testing.TB, url string, o storage.Options) *storage.Bucket {
	t.Helper()
	b, err := storage.Open(context.Background(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// Wrap opens a bucket that a driver has opened already, and closes it when the test ends.
func Wrap(t testing.TB, b *blob.Bucket, o storage.Options) *storage.Bucket {
	t.Helper()
	return Open(t, openers.add(func() *blob.Bucket { return b }), o)
}

// openers gives buckets URLs of a scheme of their own, by which storage.Open finds them.
var openers registry

const scheme = "storagetest"

func init() { blob.DefaultURLMux().RegisterBucket(scheme, &openers) }

type registry struct {
	mu    sync.Mutex
	opens []func() *blob.Bucket
}

// add returns the URL of the bucket that open opens.
func (r *registry) add(open func() *blob.Bucket) (url string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opens = append(r.opens, open)
	return fmt.Sprintf("%s://%d", scheme, len(r.opens)-1)
}

// OpenBucketURL implements blob.BucketURLOpener.
func (r *registry) OpenBucketURL(_ context.Context, u *url.URL) (*blob.Bucket, error) {
	i, err := strconv.Atoi(u.Host)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opens[i](), nil
}

// Memory returns an empty bucket in memory.
func Memory(t testing.TB) *storage.Bucket {
	t.Helper()
	return Wrap(t, memblob.OpenBucket(nil), storage.Options{})
}

// EachKind runs a test on the two kinds of bucket that need no server.
func EachKind(t *testing.T, test func(t *testing.T, b *storage.Bucket)) {
	t.Run("mem", func(t *testing.T) { test(t, Open(t, "mem://", Options(t))) })
	t.Run("file", func(t *testing.T) {
		test(t, Open(t, "file://"+filepath.Join(t.TempDir(), "new", "dir"), Options(t)))
	})
}

// Options returns options whose log goes to the test's log. An operation is retried for 40 s, which
// is enough for a server on a busy machine.
func Options(t testing.TB) storage.Options {
	return storage.Options{Log: Log(t), RetryTimeout: 40 * time.Second}
}

// Log returns a logger that writes to the test's log.
func Log(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// BehindProxy starts a server with a proxy in front of it and opens its bucket through the proxy.
// The test imports the driver.
func BehindProxy(t testing.TB, kind Kind, o storage.Options) (*storage.Bucket, *Proxy, *Server) {
	t.Helper()
	if testing.Short() {
		t.Skip("not with -short: it starts a server")
	}
	proxy := newProxy(t)
	server := Start(t, kind, proxy.address())
	proxy.forward(server)
	return Open(t, server.URL(), o), proxy, server
}

// Long returns CIJEPA_TEST_LONG: how long each test that needs time may take, such as 30s. At 0
// such tests are skipped, or take a second or two.
func Long() time.Duration {
	d, _ := time.ParseDuration(os.Getenv("CIJEPA_TEST_LONG"))
	return d
}
