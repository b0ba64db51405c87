package check

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cijepa/cijepa/job/input/pixels"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/classlist"
	"github.com/cijepa/cijepa/storage/shards"
)

// checkData reads the index of the data, and checks that both phases can use it and that its shards
// are there.
func (c *check) checkData(ctx context.Context) {
	bucket := c.bucket
	if c.cfg.DataBucket != c.cfg.Bucket {
		var err error
		if bucket, err = machine.OpenBucket(ctx, "DataBucket", c.cfg.DataBucket, c.storageOptions()); err != nil {
			c.fault(ctx, "data", err)
			return
		}
		defer func() {
			if err := bucket.Close(); err != nil {
				c.log.Warn("closing the bucket of shards", "error", err)
			}
		}()
	}
	if bucket == nil {
		return // already reported
	}
	data, err := machine.OpenDataset(ctx, c.cfg, bucket)
	if err != nil {
		c.fault(ctx, "data", err)
		return
	}
	c.data = data
	index := data.Index
	var splits []string
	for _, name := range slices.Sorted(maps.Keys(index.Splits)) {
		splits = append(splits, fmt.Sprintf("%s %d images in %d shards", name, index.Counts[name], len(index.Splits[name])))
	}
	classes := fmt.Sprintf("%d classes", len(index.Classes))
	if index.Unlabelled() {
		classes = "no labels, so that there is pretraining and no evaluation, probe or kNN"
	}
	c.ok("data", "%s: %s; %s; fingerprint %.12s", c.cfg.Data, classes, strings.Join(splits, ", "), data.Fingerprint())
	if err := machine.CheckDataset(c.cfg, index); err != nil {
		c.fault(ctx, "data", err)
	}
	c.checkShards(ctx)
	c.checkDoubts(ctx)
	if n := index.Counts[machine.TrainSplit]; n >= c.cfg.Batch {
		c.ok("data", "%d updates: %d epochs of %d, %d images of each are dropped",
			c.updates(), c.cfg.Epochs, n/c.cfg.Batch, n%c.cfg.Batch)
	}
}

// checkShards compares the index with a listing. A missing shard would stop the run when its turn
// comes, perhaps after a day.
func (c *check) checkShards(ctx context.Context) {
	err := c.data.CheckSizes(ctx)
	switch {
	case errors.Is(err, storage.ErrDenied): // a run can do without listing shards
		c.warn("data", "whether all shards are there is not known: %v", err)
	case err != nil:
		c.fault(ctx, "data", fmt.Errorf("%s=%s: %w", settings.Variable("Data"), c.cfg.Data, err))
	default:
		c.ok("data", "all shards are there, in the sizes of the index")
	}
}

// checkDoubts reports which known list the classes are, and what pack and index have warned of.
// Data on which a run would be worthless is a fault.
func (c *check) checkDoubts(ctx context.Context) {
	index := c.data.Index
	if list := classlist.Describe(index.Classes); list != "" {
		c.ok("data", "the classes are those of %s", list)
	}
	wrong := func(format string, args ...any) {
		c.fault(ctx, "data", settings.NewError("Data", c.cfg.Data, fmt.Sprintf(format, args...)))
	}
	if twice := index.DuplicateShards(); len(twice) > 0 {
		wrong("shards with the same bytes: %s; pack or index it again without one of them", shards.Abbreviate(twice))
	}
	if strange := index.OnlyInSplit(machine.ValidationSplit, machine.TrainSplit); len(strange) > 0 {
		wrong("%d classes of split %s have no image in split %s: %s; pack or index it again with classes that both have",
			len(strange), machine.ValidationSplit, machine.TrainSplit, shards.Abbreviate(strange))
	}
	notes, err := c.data.Notes(ctx)
	if err != nil {
		c.warn("data", "what was noted when it was packed is not known: %v", err)
	}
	if held := notes.HeldOut; held != nil {
		c.ok("data", "val is held out of train: a share of %v, by seed %d", held.Share, held.Seed)
	}
	if c.cfg.Image < shards.ShortSide {
		notes.Small = 0 // as large as this run sees them
	}
	if ours, theirs := decoderFamily(pixels.DecoderName()), decoderFamily(notes.Decoder); theirs != "" && ours != theirs {
		c.warn("data", "it was packed by a build with the JPEG decoder %s, and this one has %s: "+
			"each takes a few odd files that the other does not", theirs, ours)
	}
	for _, warning := range append(index.Warnings(), notes.Lines()...) {
		c.warn("data", "%s", warning)
	}
}

// decoderFamily is the name of a decoder without its version.
func decoderFamily(name string) string {
	family, _, _ := strings.Cut(name, " ")
	return family
}

// updates is the number of updates of pretraining, or 0 if the data could not be read.
func (c *check) updates() int64 {
	if c.data == nil {
		return 0
	}
	return int64(c.cfg.Epochs) * int64(c.data.Index.Counts[machine.TrainSplit]/c.cfg.Batch)
}

// checkCache checks the folder of the shard cache, its limit, and the space of its file system.
func (c *check) checkCache(ctx context.Context) {
	if c.data == nil {
		return
	}
	if c.data.InPlace() {
		c.ok("cache", "not needed: shards of a file:// bucket are read in place")
		return
	}
	cache, err := machine.OpenCache(c.cfg, c.data, c.log)
	if err != nil {
		c.fault(ctx, "cache", err)
		return
	}
	if err := cache.Close(); err != nil {
		c.log.Warn("closing the shard cache", "error", err)
	}
	c.checkSpace(ctx)
}

// checkSpace compares what the cache will take with what the file system has left.
func (c *check) checkSpace(ctx context.Context) {
	var fs unix.Statfs_t
	folder, err := machine.CacheFolder(c.cfg)
	if err == nil {
		err = unix.Statfs(folder, &fs)
	}
	if err != nil {
		c.warn("cache", "the free space of %s is not known: %v", c.cfg.CacheDir, err)
		return
	}
	var total, here int64
	for _, shards := range c.data.Index.Splits {
		for i := range shards {
			total += shards[i].Size
			file := filepath.Join(folder, shards[i].SHA256+".tar")
			if info, err := os.Stat(file); err == nil && info.Size() == shards[i].Size {
				here += info.Size()
			}
		}
	}
	takes := total
	if limit := int64(c.cfg.CacheSize); limit > 0 {
		takes = min(limit, total)
	}
	free := int64(uint64(fs.Bavail) * uint64(fs.Bsize))
	text := fmt.Sprintf("%s of shards, %s of them here already; the cache takes %s of %s free in %s",
		settings.FormatBytes(total), settings.FormatBytes(here), settings.FormatBytes(takes), settings.FormatBytes(free+here), folder)
	switch {
	case takes > free+here:
		c.fault(ctx, "cache", settings.NewError("CacheSize", c.cfg.CacheSize,
			fmt.Sprintf("%s: set it to at most %dMB, or give the folder a larger disk", text, (free+here)/1e6)))
	case takes < total:
		c.warn("cache", "%s: about %s are fetched again in every epoch", text, settings.FormatBytes(total-takes))
	default:
		c.ok("cache", "%s", text)
	}
}
