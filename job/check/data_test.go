package check

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage/shards"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// TestCacheMustHoldAWindow: a bucket that is not a folder needs a cache.
func TestCacheMustHoldAWindow(t *testing.T) {
	bucket := storagetest.Memory(t)
	packNoise(t, bucket, "noise", machine.TrainSplit, machine.ValidationSplit)
	data, err := shards.OpenDataset(t.Context(), bucket, "noise")
	if err != nil {
		t.Fatal(err)
	}
	size := data.Index.Splits[machine.TrainSplit][0].Size
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		dir    string
		size   int64
		window int
		says   string
		fault  bool
	}{
		{"all fits", t.TempDir(), 0, 4, "0 bytes of them here already", false},
		{"less than all", t.TempDir(), 4 * size, 2, "are fetched again in every epoch", false},
		{"less than a window", t.TempDir(), 3 * size, 4, "CIJEPA_CACHE_SIZE", true},
		{"less than a shard", t.TempDir(), size / 2, 1, "CIJEPA_CACHE_SIZE", true},
		{"no folder", filepath.Join(file, "below"), 0, 1, "CIJEPA_CACHE_DIR", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := settings.Defaults()
			cfg.DataBucket, cfg.CacheDir, cfg.CacheSize, cfg.Window = "mem://", c.dir, settings.Bytes(c.size), c.window
			var out bytes.Buffer
			k := &check{cfg: cfg, out: &out, log: storagetest.Log(t), data: data}
			k.checkCache(t.Context())
			if !strings.Contains(out.String(), c.says) || (len(k.faults.Faults) == 1) != c.fault || strings.Count(out.String(), "\n") != 1 {
				t.Errorf("no %q, or not one fault, in\n%s", c.says, &out)
			}
		})
	}
}
