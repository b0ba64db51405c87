// Package demo holds the data of the demonstration and packs it into shards, as cijepa pack does
// with any other data set. The data are the first 7,000 training and 1,500 test images of
// Fashion-MNIST, labelled photographs of 28 x 28 gray pixels (data/LICENSE: MIT); the preset demo
// trains on them. It knows no settings and no training.
//
// Files in reading order:
//
//	demo.go  Pack
//	data     IDX files, compressed, and their licence
package demo

import (
	"context"
	"embed"
	"fmt"
	"path"

	"github.com/cijepa/cijepa/job/input/pixels"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/pack"
)

//go:embed data
var data embed.FS

// classes are the ten classes in label order.
var classes = []string{
	"t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot",
}

// perShard is the number of images of a shard. The 7,000 training images fill 14 shards, so that
// the demonstration crosses shards and windows as a large run does.
const perShard = 500

// Pack writes the shards, their index and the licence below prefix. Objects that exist already are
// not written again.
func Pack(ctx context.Context, bucket *storage.Bucket, prefix string) error {
	var splits []pack.IDX
	for _, split := range []string{"train", "val"} {
		images, err := data.Open("data/" + split + "-images-idx3-ubyte.gz")
		if err != nil {
			return err
		}
		defer images.Close()
		labels, err := data.Open("data/" + split + "-labels-idx1-ubyte.gz")
		if err != nil {
			return err
		}
		defer labels.Close()
		splits = append(splits, pack.IDX{Split: split, Images: images, Labels: labels})
	}
	source, err := pack.FromIDX(classes, splits...)
	if err != nil {
		return err
	}
	defer source.Close()
	_, rejects, err := pack.Pack(ctx, source, bucket, prefix, pack.PackOptions{PerShard: perShard, Checks: pack.Checks{Verify: pixels.Verify}})
	if err == nil && len(rejects) > 0 {
		err = fmt.Errorf("%d images of the demonstration do not decode, the first is %s", len(rejects), rejects[0])
	}
	if err != nil {
		return err
	}
	licence, err := data.ReadFile("data/LICENSE")
	if err != nil {
		return err
	}
	_, err = bucket.Create(ctx, path.Join(prefix, "LICENSE"), licence)
	return err
}
