package shards

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cijepa/cijepa/storage"
)

// NotesName is the name of a dataset's notes below its prefix. They lie beside the index and are no
// part of it, so that equal shards have equal indexes.
const NotesName = "index.notes.json"

// ShortSide is the size in pixels of the images that the post's runs see.
const ShortSide = 224

// Notes are what may be a mistake in a dataset and was seen when its index was made.
type Notes struct {
	// Index is the fingerprint of the index that the notes belong to.
	Index string `json:"index"`
	// Small is the number of images with a short side below 224 pixels, if they are more than half.
	Small int `json:"small,omitempty"`
	// Decoder is what decoded the images when they were checked; empty if they were not.
	Decoder string `json:"decoder,omitempty"`
	// HeldOut says how val was taken from train; nil where it is the source's own.
	HeldOut *HeldOut `json:"held_out,omitempty"`
	// Warnings are in words.
	Warnings []string `json:"warnings,omitempty"`
}

// HeldOut is a val that is a part of train.
type HeldOut struct {
	Share float64 `json:"share"` // of the images of each class
	Seed  uint64  `json:"seed"`
}

// Lines are what the notes warn of, in words, a line each.
func (n Notes) Lines() []string {
	var lines []string
	if n.Small > 0 {
		lines = append(lines, fmt.Sprintf("%d images have a short side below %d pixels: if they come from ImageNet, "+
			"they are a small copy, and results do not compare with those on the originals", n.Small, ShortSide))
	}
	return append(lines, n.Warnings...)
}

// PutNotes stores the notes of an index, if there are any, in place of others.
func PutNotes(ctx context.Context, dst *storage.Bucket, prefix string, ix Index, n Notes) error {
	if n.Small == 0 && n.Decoder == "" && n.HeldOut == nil && len(n.Warnings) == 0 {
		return nil
	}
	index, err := ix.Encode()
	if err != nil {
		return err
	}
	n.Index = Fingerprint(index)
	data, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	key := KeyPrefix(prefix) + NotesName
	if stored, err := dst.Get(ctx, key); err == nil && bytes.Equal(stored, data) {
		return nil
	}
	_, err = dst.Put(ctx, key, int64(len(data)), func(w io.Writer) error {
		_, err := bytes.NewReader(data).WriteTo(w)
		return err
	})
	return err
}

// maxNotes is the size of notes in bytes, above what packing writes. A run puts them into its
// result.
const maxNotes = 256 << 10

// Notes reads the notes of the dataset; those of another index are none, and those that are too
// large are an error.
func (d *Dataset) Notes(ctx context.Context) (Notes, error) {
	key := KeyPrefix(d.prefix) + NotesName
	data, err := d.bucket.Get(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return Notes{}, nil
	}
	var n Notes
	if len(data) > maxNotes {
		err = fmt.Errorf("it has %d bytes, and packing writes less than %d", len(data), maxNotes)
	}
	if err == nil {
		err = json.Unmarshal(data, &n)
	}
	if err != nil {
		return Notes{}, fmt.Errorf("reading %s: %w", key, err)
	}
	if n.Index != d.fingerprint {
		return Notes{}, nil
	}
	return n, nil
}

// OnlyInSplit gives the classes that have samples in one split and none in another.
func (ix Index) OnlyInSplit(split, other string) []string {
	missing, without := ix.classesWithoutSample(other), ix.classesWithoutSample(split)
	return slices.DeleteFunc(missing, func(class string) bool { return slices.Contains(without, class) })
}

// DuplicateShards names pairs of shards that have the same bytes.
func (ix Index) DuplicateShards() []string {
	var pairs []string
	first := map[string]string{}
	for _, split := range []string{"train", "val"} {
		for _, shard := range ix.Splits[split] {
			if other := first[shard.SHA256]; other != "" {
				pairs = append(pairs, other+" and "+shard.Name)
			} else {
				first[shard.SHA256] = shard.Name
			}
		}
	}
	return pairs
}
