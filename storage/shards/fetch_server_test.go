package shards

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// The cache fetches from real servers, through a proxy that cuts, spoils and refuses reads. Without
// CIJEPA_TEST_LONG only from S3, because the others start slowly.
func TestCacheFetchesFromServers(t *testing.T) {
	kinds := storagetest.Kinds()
	if storagetest.Long() == 0 {
		kinds = []storagetest.Kind{storagetest.S3}
	}
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			b, proxy, _ := storagetest.BehindProxy(t, kind, storagetest.Options(t))
			d := putPacked(t, b, 50)
			stored := storagetest.Snapshot(t, b)
			rules := map[string]storagetest.Rule{
				"cut":     {Method: http.MethodGet, Contains: ".tar", Times: 4, Spoil: storagetest.Truncate, At: 5000},
				"flipped": {Method: http.MethodGet, Contains: ".tar", Times: 2, Spoil: storagetest.Flip, At: 5000},
			}
			if storagetest.Long() > 0 { // the drivers wait long before they try again
				rules["refused"] = storagetest.Rule{Method: http.MethodGet, Contains: ".tar", Times: 2,
					Spoil: storagetest.Answer, Status: http.StatusServiceUnavailable}
			}
			for name, rule := range rules {
				t.Run(name, func(t *testing.T) {
					proxy.Spoil(rule)
					defer proxy.Spoil()
					viewAll(t, trainSplit(t, newCache(t, d, t.TempDir(), 0)), stored)
					if proxy.Hits() != rule.Times {
						t.Errorf("%d requests were spoiled, want %d", proxy.Hits(), rule.Times)
					}
				})
			}
			t.Run("taken up", func(t *testing.T) {
				c := newCache(t, d, t.TempDir(), 0)
				shard := &d.Index.Splits["train"][1]
				key := d.object(shard).Key
				tag, err := b.Revision(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				whole := []byte(stored[key])
				half(t, c, shard, whole, tag)
				file, err := c.fetch(t.Context(), shard)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(contents(t, file), whole) {
					t.Error("wrong bytes")
				}
				if err := file.close(); err != nil {
					t.Error(err)
				}
			})
			t.Run("replaced", func(t *testing.T) {
				c := newCache(t, d, t.TempDir(), 0)
				shard := &d.Index.Splits["train"][2]
				key := d.object(shard).Key
				before, err := b.Revision(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				half(t, c, shard, []byte(stored[key]), before)
				other := bytes.Repeat([]byte("x"), int(shard.Size))
				if _, err := b.PutBytes(t.Context(), key, other); err != nil {
					t.Fatal(err)
				}
				if _, err := c.fetch(t.Context(), shard); !errors.Is(err, storage.ErrCorrupt) {
					t.Errorf("got %v, want ErrCorrupt", err)
				}
				// Nothing of the object before is left to be mixed with the one that is there now.
				part, err := os.ReadFile(strings.TrimSuffix(c.shardPath(shard), ".tar") + ".part")
				if err != nil || bytes.Contains(part, []byte(stored[key][:512])) {
					t.Errorf("the part has %d bytes (%v)", len(part), err)
				}
			})
		})
	}
}
