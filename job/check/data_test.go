package check

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage/classlist"
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

// TestCheckTellsWhatPackDoubted: data on which a run is worthless is a fault, what may be a mistake
// a warning.
func TestCheckTellsWhatPackDoubted(t *testing.T) {
	shard := func(name, sum string, labels ...int32) shards.Shard {
		s := shards.Shard{Name: name, Size: 1000, SHA256: strings.Repeat(sum, 64)}
		for i, label := range labels {
			s.Samples.Add(strconv.Itoa(i), int64(i), 1, label)
		}
		return s
	}
	imagenet100, err := classlist.Open(classlist.Post)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		classes    []string
		train, val shards.Shard
		notes      shards.Notes
		says       string
		fault      bool
	}{
		{"all is well", []string{"a", "b"}, shard("t", "1", 0, 1), shard("v", "2", 0, 1), shards.Notes{}, "", false},
		{"no class in common", []string{"a", "b"}, shard("t", "1", 0), shard("v", "2", 1), shards.Notes{}, "1 classes of split val have no image in split train: b", true},
		{"a shard twice", []string{"a", "b"}, shard("t", "1", 0, 1), shard("v", "1", 0, 1), shards.Notes{}, "shards with the same bytes: t and v", true},
		{"a note", []string{"a", "b"}, shard("t", "1", 0, 1), shard("v", "2", 0, 1), shards.Notes{Warnings: []string{"a number is missing"}}, "a number is missing", false},
		{"small copies", []string{"a", "b"}, shard("t", "1", 0, 1), shard("v", "2", 0, 1), shards.Notes{Small: 3}, "3 images have a short side below 224 pixels", false},
		{"another decoder", []string{"a", "b"}, shard("t", "1", 0, 1), shard("v", "2", 0, 1), shards.Notes{Decoder: "other 1.0"}, "packed by a build with the JPEG decoder other", false},
		{"a known list", imagenet100, shard("t", "1", 0, 1), shard("v", "2", 0, 1), shards.Notes{}, "the classes are those of ImageNet-100 (CMC), the post's", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bucket := storagetest.Memory(t)
			ix := shards.Index{Version: shards.IndexVersion, Classes: c.classes, Splits: map[string][]shards.Shard{"train": {c.train}, "val": {c.val}},
				Counts: map[string]int{"train": c.train.Samples.Len(), "val": c.val.Samples.Len()}}
			if err := errors.Join(shards.CreateIndex(t.Context(), bucket, "d", ix), shards.PutNotes(t.Context(), bucket, "d", ix, c.notes)); err != nil {
				t.Fatal(err)
			}
			data, err := shards.OpenDataset(t.Context(), bucket, "d")
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			k := &check{cfg: settings.Defaults(), out: &out, log: storagetest.Log(t), data: data}
			k.checkDoubts(t.Context())
			if !strings.Contains(out.String(), c.says) || (len(k.faults.Faults) > 0) != c.fault || c.says == "" && out.Len() > 0 {
				t.Errorf("no %q, or a fault too many or too few, in\n%s", c.says, &out)
			}
		})
	}
}
