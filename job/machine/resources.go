package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/shards"
)

// What a run opens, for the run itself and for a check of it: both say the same of the same fault. What is neither refused,
// nor damaged, nor out of reach is a setting that can never work.

// OpenBucket opens the bucket that a setting names.
func OpenBucket(ctx context.Context, field, url string, o storage.Options) (*storage.Bucket, error) {
	bucket, err := storage.Open(ctx, url, o)
	if err != nil {
		return nil, BucketError(ctx, field, err)
	}
	return bucket, nil
}

// BucketError says why the bucket that a setting names could not be opened.
func BucketError(ctx context.Context, field string, err error) error {
	if errors.Is(err, storage.ErrUnreachable) || errors.Is(err, storage.ErrDenied) || ctx.Err() != nil {
		return fmt.Errorf("%s: %w", settings.Variable(field), err)
	}
	return settings.NewError(field, "", err.Error())
}

// OpenDataset reads the index of the data.
func OpenDataset(ctx context.Context, c settings.Config, bucket *storage.Bucket) (*shards.Dataset, error) {
	data, err := shards.OpenDataset(ctx, bucket, c.Data)
	switch {
	case err == nil:
		return data, nil
	case errors.Is(err, storage.ErrUnreachable), errors.Is(err, storage.ErrDenied), errors.Is(err, storage.ErrCorrupt), ctx.Err() != nil:
		return nil, fmt.Errorf("%s=%s: %w", settings.Variable("Data"), c.Data, err)
	}
	return nil, settings.NewError("Data", c.Data, err.Error())
}

// CheckDataset says whether both phases can use the data: training images for a batch or more, validation images, all with a class.
// It is looked at before days of pretraining, not after.
func CheckDataset(c settings.Config, index shards.Index) error {
	faults := &settings.Error{}
	want := func(ok bool, format string, args ...any) {
		if !ok {
			faults.Faults = append(faults.Faults, settings.Fault{settings.Variable("Data"), c.Data, fmt.Sprintf(format, args...) + "; pack it again, or take other data"})
		}
	}
	for _, split := range []string{TrainSplit, ValidationSplit} {
		want(index.Counts[split] > 0, "it has no images in split %s; pretraining needs %s, the probe both it and %s", split, TrainSplit, ValidationSplit)
		bare := 0
		for _, shard := range index.Splits[split] {
			for _, label := range shard.Samples.Labels {
				if label == shards.NoLabel {
					bare++
				}
			}
		}
		want(bare == 0, "%d of the %d images of split %s have no class, and the probe needs one", bare, index.Counts[split], split)
	}
	want(len(index.Classes) > 1, "it has %d classes, and the probe needs two or more", len(index.Classes))
	if n := index.Counts[TrainSplit]; n > 0 && n < c.Batch {
		faults.Add(settings.Variable("Batch"), c.Batch, fmt.Sprintf("at most the %d images of the train split", n))
	}
	if n := index.Counts[TrainSplit]; n > 0 && n < c.ProbeBatch {
		faults.Add(settings.Variable("ProbeBatch"), c.ProbeBatch, fmt.Sprintf("at most the %d images of the train split", n))
	}
	return faults.OrNil()
}

// OpenCache makes the cache of shards ready, with room for a window of each split.
func OpenCache(c settings.Config, data *shards.Dataset, log *slog.Logger) (*shards.Cache, error) {
	folder := func(err error) error {
		return settings.NewError("CacheDir", c.CacheDir, fmt.Sprintf("%v; choose a folder on a local disk that this process may write to", err))
	}
	if !data.InPlace() {
		if err := os.MkdirAll(c.CacheDir, 0o777); err != nil {
			return nil, folder(fmt.Errorf("cannot be made: %w", err))
		}
		if err := unix.Access(c.CacheDir, unix.W_OK|unix.X_OK); err != nil {
			return nil, folder(fmt.Errorf("cannot be written: %w", err))
		}
	}
	size := func(err error) error {
		return settings.NewError("CacheSize", c.CacheSize.String(), err.Error())
	}
	cache, err := shards.NewCache(data, c.CacheDir, int64(c.CacheSize), log)
	if err != nil {
		return nil, size(err)
	}
	for _, name := range []string{TrainSplit, ValidationSplit} {
		split, err := cache.Split(name)
		if err != nil {
			return nil, errors.Join(err, cache.Close())
		}
		if err := split.Require(c.Window); err != nil {
			return nil, errors.Join(size(err), cache.Close())
		}
	}
	return cache, nil
}

// The splits of a dataset.
const (
	TrainSplit      = "train"
	ValidationSplit = "val"
)
