package storage_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// quick returns options whose retries wait for next to nothing.
func quick(t *testing.T) storage.Options {
	return storagetest.Options(t).WithWaits(time.Millisecond, 5*time.Second)
}

func eachServer(t *testing.T, test func(t *testing.T, b *storage.Bucket, proxy *storagetest.Proxy,
	server *storagetest.Server)) {
	for _, kind := range storagetest.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			b, proxy, server := storagetest.BehindProxy(t, kind, quick(t))
			test(t, b, proxy, server)
		})
	}
}

// Everything that this package does works on real servers, with each fault of a network or driver
// in the way.
func TestFaultsOfRealServersAreSurvived(t *testing.T) {
	eachServer(t, func(t *testing.T, b *storage.Bucket, proxy *storagetest.Proxy, server *storagetest.Server) {
		large := storagetest.RandomBytes(17 << 20) // several parts on S3 and Azure
		t.Run("large objects", func(t *testing.T) { testLargeObject(t, b, large) })
		t.Run("races", func(t *testing.T) { testRaces(t, b, 5, 8) })
		t.Run("missing bucket", func(t *testing.T) { testMissingBucket(t, server) })
		if server.Kind == storagetest.S3 { // the others take any credentials, or their driver has read them already
			t.Run("wrong secret", func(t *testing.T) { testWrongSecret(t, server) })
		}
		t.Run("lost answer of a create", func(t *testing.T) { testLostCreate(t, b, proxy) })
		t.Run("cut read", func(t *testing.T) { testCutRead(t, b, proxy, large) })
		t.Run("flipped bit in a read", func(t *testing.T) { testFlippedRead(t, b, proxy, large) })
		t.Run("flipped bit in an upload", func(t *testing.T) { testFlippedUpload(t, b, proxy) })
		t.Run("403", func(t *testing.T) { testRefusal(t, b, proxy) })
		t.Run("abandoned upload", func(t *testing.T) { testAbandonedUpload(t, b, large) })
		if storagetest.Long() == 0 {
			return // the drivers' own retries and time limits make these slow
		}
		t.Run("503 twice", func(t *testing.T) { testBriefOutage(t, b, proxy) })
		t.Run("lost answer of a put", func(t *testing.T) { testLostPut(t, b, proxy, large) })
		t.Run("silence", func(t *testing.T) { testSilentServer(t, server, proxy) })
		t.Run("1,000 races", func(t *testing.T) { testRaces(t, b, 1000, 4) })
	})
}

func testLargeObject(t *testing.T, b *storage.Bucket, large []byte) {
	o, err := b.PutBytes(t.Context(), "large", large)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := storagetest.ReadAll(t, b, o); err != nil || !bytes.Equal(got, large) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}

func testMissingBucket(t *testing.T, server *storagetest.Server) {
	b, err := storage.Open(t.Context(), strings.Replace(server.URL(), storagetest.BucketName, "no-such-bucket", 1),
		quick(t))
	if err == nil {
		b.Close()
	}
	if !errors.Is(err, storage.ErrNotFound) || !strings.Contains(err.Error(), "create it, or correct its name") {
		t.Errorf("missing bucket: %v", err)
	}
}

// testWrongSecret: the error of refused credentials says to check them, not to grant rights.
func testWrongSecret(t *testing.T, server *storagetest.Server) {

	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	b := storagetest.Open(t, server.URL(), quick(t))
	if _, err := b.PutBytes(t.Context(), "x", nil); !errors.Is(err, storage.ErrDenied) ||
		!strings.Contains(err.Error(), "check the credentials") || !strings.Contains(err.Error(), "AWS_SECRET_ACCESS_KEY") {
		t.Errorf("with a wrong secret: %v", err)
	}
}

func testBriefOutage(t *testing.T, b *storage.Bucket, proxy *storagetest.Proxy) {
	const times = 2
	outage := storagetest.Rule{Contains: "outage", Times: times, Spoil: storagetest.Answer,
		Status: http.StatusServiceUnavailable}
	for name, act := range map[string]func() error{
		"put":    func() error { _, err := b.PutBytes(t.Context(), "outage", []byte("1")); return err },
		"create": func() error { _, err := b.Create(t.Context(), "outage-2", []byte("2")); return err },
		"get":    func() error { _, err := b.Get(t.Context(), "outage"); return err },
		"list":   func() error { _, err := b.List(t.Context(), "outage"); return err },
		"delete": func() error { return b.Delete(t.Context(), "outage-2") },
	} {
		if name != "put" {
			proxy.Spoil()
			if _, err := b.PutBytes(t.Context(), "outage", []byte("1")); err != nil {
				t.Fatal(err)
			}
		}
		proxy.Spoil(outage)
		if err := act(); err != nil || proxy.Hits() != times {
			t.Errorf("%s: %v after %d answers of 503", name, err, proxy.Hits())
		}
	}
	proxy.Spoil()
}

func testLostCreate(t *testing.T, b *storage.Bucket, proxy *storagetest.Proxy) {
	for _, method := range []string{http.MethodPut, http.MethodPost} { // S3 and Azure put, GCS posts
		proxy.Spoil(storagetest.Rule{Method: method, Contains: "lost-create", Times: 1, Spoil: storagetest.Unanswer},
			storagetest.Rule{Method: method, Contains: "/upload/", Times: 1, Spoil: storagetest.Unanswer})
		created, err := b.Create(t.Context(), "lost-create-"+method, []byte("mine"))
		if !created || err != nil {
			t.Errorf("own create with a lost answer: %t, %v", created, err)
		}
		if hits := proxy.Hits(); hits > 0 {
			created, err := b.Create(t.Context(), "lost-create-"+method, []byte("theirs"))
			if created || err != nil {
				t.Errorf("second create: %t, %v", created, err)
			}
			proxy.Spoil()
			return
		}
	}
	t.Error("no create was spoiled")
}

func testLostPut(t *testing.T, b *storage.Bucket, proxy *storagetest.Proxy, large []byte) {
	proxy.Spoil(storagetest.Rule{Method: http.MethodPut, Times: 1, Spoil: storagetest.Unanswer},
		storagetest.Rule{Method: http.MethodPost, Times: 1, Spoil: storagetest.Unanswer})
	o, err := b.PutBytes(t.Context(), "lost-put", large)
	if err != nil || proxy.Hits() == 0 {
		t.Fatalf("%v after %d lost answers", err, proxy.Hits())
	}
	proxy.Spoil()
	if got, err := storagetest.ReadAll(t, b, o); err != nil || !bytes.Equal(got, large) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}

func testCutRead(t *testing.T, b *storage.Bucket, proxy *storagetest.Proxy, large []byte) {
	o, err := b.PutBytes(t.Context(), "cut", large)
	if err != nil {
		t.Fatal(err)
	}
	proxy.Spoil(storagetest.Rule{Method: http.MethodGet, Contains: "cut", Times: 3, Spoil: storagetest.Truncate,
		At: 1_000_001})
	if got, err := storagetest.ReadAll(t, b, o); err != nil || !bytes.Equal(got, large) || proxy.Hits() != 3 {
		t.Errorf("%d bytes after %d cuts, %v", len(got), proxy.Hits(), err)
	}
	proxy.Spoil()
}

func testFlippedRead(t *testing.T, b *storage.Bucket, proxy *storagetest.Proxy, large []byte) {
	o, err := b.PutBytes(t.Context(), "flip", large)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 1_234_567} {
		proxy.Spoil(storagetest.Rule{Method: http.MethodGet, Contains: "flip", Times: 1, Spoil: storagetest.Flip, At: at})
		got, err := storagetest.ReadAll(t, b, o)
		if !errors.Is(err, storage.ErrCorrupt) || proxy.Hits() != 1 {
			t.Errorf("flipped byte %d: %d bytes, %v, %d hits", at, len(got), err, proxy.Hits())
		}
	}
	proxy.Spoil()
}

func testFlippedUpload(t *testing.T, b *storage.Bucket, proxy *storagetest.Proxy) {
	data := bytes.Repeat([]byte("payload "), 1<<10)
	proxy.Spoil(storagetest.Rule{Method: http.MethodPut, Times: 1, Spoil: storagetest.FlipRequest, At: 4000},
		storagetest.Rule{Method: http.MethodPost, Times: 1, Spoil: storagetest.FlipRequest, At: 4000})
	o, err := b.PutBytes(t.Context(), "flipped-upload", data)
	if proxy.Hits() == 0 {
		t.Error("no request was spoiled")
	}
	proxy.Spoil()
	if err != nil {
		t.Fatal(err)
	}
	// Whether the store refuses the upload or takes it, wrong bytes are never read as right ones.
	got, err := storagetest.ReadAll(t, b, o)
	if err == nil && !bytes.Equal(got, data) || err != nil && !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("read %d bytes, %v", len(got), err)
	} else {
		t.Logf("the store took a flipped upload: %t", err != nil)
	}
}

func testRefusal(t *testing.T, b *storage.Bucket, proxy *storagetest.Proxy) {
	proxy.Spoil(storagetest.Rule{Times: -1, Spoil: storagetest.Answer, Status: http.StatusForbidden})
	defer proxy.Spoil()
	_, get := b.Get(t.Context(), "x")
	_, list := b.List(t.Context(), "x")
	_, put := b.PutBytes(t.Context(), "x", []byte("1"))
	_, create := b.Create(t.Context(), "x", []byte("1"))
	for act, err := range map[string]error{"get": get, "list": list, "put": put, "create": create,
		"delete": b.Delete(t.Context(), "x")} {
		if !errors.Is(err, storage.ErrDenied) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", act, err)
		}
	}
}

func testSilentServer(t *testing.T, server *storagetest.Server, proxy *storagetest.Proxy) {
	b := storagetest.Open(t, server.URL(), storage.Options{RetryTimeout: 2 * time.Second}.WithWaits(10*time.Millisecond, time.Second))
	proxy.Spoil(storagetest.Rule{Times: -1, Spoil: storagetest.Hang})
	defer proxy.Spoil()
	for name, act := range map[string]func() error{
		"get":    func() error { _, err := b.Get(t.Context(), "x"); return err },
		"list":   func() error { _, err := b.List(t.Context(), "x"); return err },
		"put":    func() error { _, err := b.PutBytes(t.Context(), "x", make([]byte, 9<<20)); return err },
		"create": func() error { _, err := b.Create(t.Context(), "x", nil); return err },
	} {
		start := time.Now()
		err := act()
		if took := time.Since(start); !errors.Is(err, storage.ErrUnreachable) || took > 10*time.Second {
			t.Errorf("%s: %v after %v", name, err, took)
		}
	}
}

// testAbandonedUpload: a source that fails during an upload leaves nothing, and azureblob does not
// panic.
func testAbandonedUpload(t *testing.T, b *storage.Bucket, large []byte) {
	source := errors.New("the device is gone")
	for _, n := range []int{10, len(large) - 1} {
		_, err := b.Put(t.Context(), "abandoned", int64(len(large)), func(w io.Writer) error {
			w.Write(large[:n])
			return source
		})
		if !errors.Is(err, source) {
			t.Errorf("after %d bytes: %v", n, err)
		}
		if _, err := b.Get(t.Context(), "abandoned"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("after %d bytes: a torn object is stored: %v", n, err)
		}
	}
}
