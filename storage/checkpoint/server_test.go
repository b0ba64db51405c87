package checkpoint

import (
	"net/http"
	"strings"
	"testing"

	_ "gocloud.dev/blob/azureblob"
	_ "gocloud.dev/blob/gcsblob"
	_ "gocloud.dev/blob/s3blob"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// A run goes through on real servers, also while every fifth request fails.
func TestRunOnServers(t *testing.T) {
	for _, kind := range storagetest.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			b, proxy, server := storagetest.BehindProxy(t, kind, storagetest.Options(t))
			t.Run("healthy", func(t *testing.T) { testLifeOnServer(t, b) })
			if storagetest.Long() > 0 { // the drivers' own retries make this slow
				t.Run("every fifth request fails", func(t *testing.T) { testLifeOnBadServer(t, server, proxy) })
			}
		})
	}
}

func testLifeOnServer(t *testing.T, b *storage.Bucket) {
	if err := life(t.Context(), t, b); err != nil {
		t.Fatal(err)
	}
	r, p := mustRestore(t, b, "auditor")
	if p.Step != 6 || r.Fallbacks() != 0 {
		t.Errorf("restored %+v after %d fallbacks", p, r.Fallbacks())
	}
}

func testLifeOnBadServer(t *testing.T, server *storagetest.Server, proxy *storagetest.Proxy) {
	b := storagetest.Open(t, server.URL()+withPrefix(server.URL(), "bad/"), storagetest.Options(t))
	proxy.Spoil(
		storagetest.Rule{Times: -1, Share: 0.08, Spoil: storagetest.Answer, Status: http.StatusServiceUnavailable},
		storagetest.Rule{Times: -1, Share: 0.08, Spoil: storagetest.Unanswer},
		storagetest.Rule{Times: -1, Share: 0.04, Spoil: storagetest.Truncate, At: 100})
	defer proxy.Spoil()
	if err := life(t.Context(), t, b); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d requests failed", proxy.Hits())
	if proxy.Hits() == 0 {
		t.Error("no request failed")
	}
	proxy.Spoil()
	r, p := mustRestore(t, b, "auditor")
	if p.Step != 6 || r.Fallbacks() != 0 {
		t.Errorf("restored %+v after %d fallbacks", p, r.Fallbacks())
	}
}

// withPrefix is the parameter to add to a URL so that its bucket stays below prefix.
func withPrefix(url, prefix string) string {
	if strings.Contains(url, "?") {
		return "&prefix=" + prefix
	}
	return "?prefix=" + prefix
}
