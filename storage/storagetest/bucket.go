package storagetest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
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

// Open opens the bucket of a URL and closes it when the test ends. The test imports the driver; file:// and mem:// are there.
func Open(t testing.TB, url string, o storage.Options) *storage.Bucket {
	t.Helper()
	b, err := storage.Open(context.Background(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// Wrap is Open for a bucket that a driver has opened.
func Wrap(t testing.TB, b *blob.Bucket, o storage.Options) *storage.Bucket {
	t.Helper()
	return Open(t, openers.add(func() *blob.Bucket { return b }), o)
}

// openers give buckets URLs of a scheme of their own, by which storage.Open finds them.
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

// Options are options whose log goes to the test's. An operation is retried for 40 s, which is enough for a server on a busy machine.
func Options(t testing.TB) storage.Options {
	return storage.Options{Log: Log(t), RetryTimeout: 40 * time.Second}
}

// Log writes to the test's log.
func Log(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// BehindProxy starts a server with a proxy in front of it and opens its bucket through the proxy. The test imports the driver.
func BehindProxy(t testing.TB, kind Kind, o storage.Options) (*storage.Bucket, *Proxy, *Server) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a server")
	}
	proxy := NewProxy(t)
	server := Start(t, kind, proxy.Address())
	proxy.Forward(server)
	return Open(t, server.URL(), o), proxy, server
}

// Long is how long each test that needs time may take, such as 30s, from CIJEPA_TEST_LONG. 0 leaves such tests out, or gives them a second or two.
func Long() time.Duration {
	d, _ := time.ParseDuration(os.Getenv("CIJEPA_TEST_LONG"))
	return d
}

// RandomBytes returns n bytes that cannot be compressed, the same ones for the same n.
func RandomBytes(n int) []byte {
	data := make([]byte, n)
	random := rand.New(rand.NewPCG(uint64(n), 0))
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return data
}

// PutAll writes objects, given by key.
func PutAll(t testing.TB, b *storage.Bucket, objects map[string]string) {
	t.Helper()
	for key, data := range objects {
		if _, err := b.PutBytes(context.Background(), key, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
}

// Snapshot returns every object of a bucket by key.
func Snapshot(t testing.TB, b *storage.Bucket) map[string]string {
	t.Helper()
	keys, err := b.List(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, key := range keys {
		data, err := b.Get(context.Background(), key)
		if err != nil {
			t.Fatal(err)
		}
		all[key] = string(data)
	}
	return all
}

// ReadAll reads an object whole, with its checksum checked.
func ReadAll(t testing.TB, b *storage.Bucket, o storage.Object) ([]byte, error) {
	r, err := b.Read(context.Background(), o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// FileNames returns the names in a folder, in order.
func FileNames(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
