package machine

import (
	"context"
	"errors"
	"fmt"

	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/shards"
)

// The splits of a dataset.
const (
	TrainSplit      = "train"
	ValidationSplit = "val"
)

// OpenDataset reads the index of the data.
func OpenDataset(ctx context.Context, c settings.Config, bucket *storage.Bucket) (*shards.Dataset, error) {
	data, err := shards.OpenDataset(ctx, bucket, c.Data)
	switch {
	case err == nil:
		return data, nil
	case errors.Is(err, storage.ErrUnreachable), errors.Is(err, storage.ErrDenied), errors.Is(err, storage.ErrCorrupt),
		ctx.Err() != nil:
		return nil, fmt.Errorf("%s=%s: %w", settings.Variable("Data"), c.Data, err)
	}
	return nil, settings.NewError("Data", c.Data, err.Error())
}

// CheckDataset says whether both phases can use the data: it needs a batch of training images,
// validation images, and a class for every image. This is checked before days of pretraining, not
// after them. Of data without labels, on which there is no probe, it needs the batch, and no
// setting of the probe. Its errors are *settings.Error.
func CheckDataset(c settings.Config, index shards.Index) error {
	faults := &settings.Error{}
	want := func(ok bool, format string, args ...any) {
		if !ok { // a dataset may have several faults, and Error.Add takes one a variable
			faults.Faults = append(faults.Faults, settings.Fault{
				Variable: settings.Variable("Data"), Value: c.Data,
				Want: fmt.Sprintf(format, args...) + "; pack it again, or take other data",
			})
		}
	}
	train, labelled := index.Counts[TrainSplit], !index.Unlabelled()
	needed := []string{TrainSplit, ValidationSplit}
	if !labelled && train > 0 {
		needed = nil
		_ = errors.As(c.CheckUnlabelled(), &faults)
	}
	for _, split := range needed {
		want(index.Counts[split] > 0, "it has no images in split %s; pretraining needs %s, the probe both it and %s",
			split, TrainSplit, ValidationSplit)
		unlabelled := 0
		for _, shard := range index.Splits[split] {
			for _, label := range shard.Samples.Labels {
				if label == shards.NoLabel {
					unlabelled++
				}
			}
		}
		want(unlabelled == 0, "%d of the %d images of split %s have no class, and the probe needs one",
			unlabelled, index.Counts[split], split)
	}
	want(!labelled || len(index.Classes) > 1, "it has %d classes, and the probe needs two or more", len(index.Classes))
	if train > 0 {
		atMost := fmt.Sprintf("at most the %d images of the train split", train)
		if train < c.Batch {
			faults.Add(settings.Variable("Batch"), c.Batch, atMost)
		}
		if labelled && train < c.ProbeBatch {
			faults.Add(settings.Variable("ProbeBatch"), c.ProbeBatch, atMost)
		}
	}
	return faults.OrNil()
}
