package pack

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/storage/storagetest"
)

// Packing into real servers stores the same bytes as packing into memory, also when it is done
// again. Only S3 without CIJEPA_TEST_LONG: the others take their time to start.
func TestPackOnServers(t *testing.T) {
	memory := storagetest.Memory(t)
	mustPack(t, idxSourceOf(t, 50), memory, "d", PackOptions{PerShard: 10})
	want := storagetest.Snapshot(t, memory)
	kinds := storagetest.Kinds()
	if storagetest.Long() == 0 {
		kinds = []storagetest.Kind{storagetest.S3}
	}
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			b, _, _ := storagetest.BehindProxy(t, kind, storagetest.Options(t))
			for range 2 {
				mustPack(t, idxSourceOf(t, 50), b, "d", PackOptions{PerShard: 10})
				if diff := cmp.Diff(want, storagetest.Snapshot(t, b)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}
