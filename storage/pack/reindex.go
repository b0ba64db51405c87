package pack

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/shards"
)

// ReindexOptions say how Reindex reads the shards of another tool. The zero value takes labels from .cls members.
type ReindexOptions struct {
	// Classes are the class names in label order; a label that is none of them is ErrUnfit. Without them the classes are called by their numbers, or by the names that
	// the .json members give.
	Classes []string
	// LabelKey is the field of a sample's .json member that has its label, a number or a name; "" means the .cls member.
	LabelKey string
	// Verify looks at each image, as in PackOptions. An image that it refuses is left out of the index and returned as a Reject.
	Verify func(image []byte) error
	// Progress is told the bytes read so far and those there are, one call at a time.
	Progress func(done, total int64)
}

// reindexers is how many shards are read at once.
const reindexers = 4

// Reindex makes the index of WebDataset shards that another tool has put below prefix, so that they can be used as they are. Which shards
// there are and of which split is taken from timm's _info.json, else from webdataset's own indexes (train.json and so on, of the kind
// wids-shard-index-v1), else from the names of all .tar objects: train, val, valid or validation as a word of the name or of its folder.
// Every shard is read once, whole, and counts and sizes that those files state must hold. Samples without an image are returned as
// rejects, those without a label get NoLabel.
func Reindex(ctx context.Context, b *storage.Bucket, prefix string, o ReindexOptions) (shards.Index, []Reject, error) {
	entries, err := b.ListEntries(ctx, shards.KeyPrefix(prefix))
	if err != nil {
		return shards.Index{}, nil, fmt.Errorf("listing the shards: %w", err)
	}
	r := &reindexer{bucket: b, prefix: prefix, options: o, sizes: map[string]int64{}}
	for _, entry := range entries {
		r.sizes[strings.TrimPrefix(entry.Key, shards.KeyPrefix(prefix))] = entry.Size
	}
	stated, err := r.findShards(ctx)
	if err != nil {
		return shards.Index{}, nil, err
	}
	scans, err := r.scanAll(ctx, stated)
	if err != nil {
		return shards.Index{}, nil, err
	}
	ix, err := r.index(stated, scans)
	if err != nil {
		return shards.Index{}, r.rejects, err
	}
	return ix, r.rejects, shards.CreateIndex(ctx, b, prefix, ix)
}

type reindexer struct {
	bucket  *storage.Bucket
	prefix  string
	options ReindexOptions
	sizes   map[string]int64 // by name below prefix
	total   int64            // bytes of all shards

	mu      sync.Mutex // guards what follows
	done    int64
	rejects []Reject
}

// scanned is a shard as it was found. Labels are text until all shards are known.
type scanned struct {
	shards.Shard
	labels []string
}

// scanAll reads all shards, some at a time.
func (r *reindexer) scanAll(ctx context.Context, stated []statedShard) ([]scanned, error) {
	scans := make([]scanned, len(stated))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(reindexers)
	for i, shard := range stated {
		group.Go(func() (err error) {
			scans[i], err = r.scan(ctx, shard)
			return err
		})
	}
	err := group.Wait()
	slices.SortFunc(r.rejects, compareRejects)
	return scans, err
}

// scan reads one shard from its first byte to its last.
func (r *reindexer) scan(ctx context.Context, stated statedShard) (scanned, error) {
	key := shards.KeyPrefix(r.prefix) + stated.name
	stream, err := r.bucket.OpenAt(ctx, key, 0)
	if err != nil {
		return scanned{}, err
	}
	defer stream.Close()
	s := &tarScan{counted: &counted{r: bufio.NewReaderSize(stream, 1<<20), sum: sha256.New()}, reindexer: r, split: stated.split, file: stated.name}
	if err := s.run(); err != nil {
		return scanned{}, fmt.Errorf("shard %s: %w", stated.name, err)
	}
	found := s.found
	found.Name, found.Size, found.SHA256 = stated.name, s.counted.n, hex.EncodeToString(s.counted.sum.Sum(nil))
	if stated.samples >= 0 && s.seen != stated.samples {
		return scanned{}, fmt.Errorf("shard %s has %d samples, its list says %d: %w", stated.name, s.seen, stated.samples, storage.ErrCorrupt)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done += found.Size
	if r.options.Progress != nil {
		r.options.Progress(r.done, r.total)
	}
	return found, nil
}

// index settles the classes and puts everything together.
func (r *reindexer) index(stated []statedShard, scans []scanned) (shards.Index, error) {
	classes, err := r.classes(scans)
	if err != nil {
		return shards.Index{}, err
	}
	labels := make(map[string]int32, 2*len(classes))
	for i, class := range classes {
		labels[class] = int32(i)
	}
	ix := shards.Index{Version: shards.IndexVersion, Classes: classes, Counts: map[string]int{}, Splits: map[string][]shards.Shard{}}
	for i := range scans {
		shard := scans[i].Shard
		for j, text := range scans[i].labels {
			if text == "" {
				continue
			}
			label, ok := labels[text]
			if number, err := strconv.Atoi(text); !ok && err == nil && number >= 0 && number < len(classes) {
				label, ok = int32(number), true
			}
			if !ok {
				return shards.Index{}, fmt.Errorf("%w: shard %s: sample %s has the label %q, which is none of the %d classes", storage.ErrUnfit, shard.Name, shard.Samples.Keys[j], text, len(classes))
			}
			shard.Samples.Labels[j] = label
		}
		if shard.Samples.Len() > 0 {
			split := stated[i].split
			ix.Splits[split] = append(ix.Splits[split], shard)
			ix.Counts[split] += shard.Samples.Len()
		}
	}
	return ix, ix.Validate()
}

// classes are the given ones, else numbers up to the largest when all labels are numbers, else all names, sorted.
func (r *reindexer) classes(scans []scanned) ([]string, error) {
	if len(r.options.Classes) > 0 {
		return r.options.Classes, nil
	}
	var items []Item
	names := map[string]bool{}
	for i := range scans {
		for _, text := range scans[i].labels {
			items = append(items, Item{Class: text})
			if text != "" {
				names[text] = true
			}
		}
	}
	if allNumbers(items) {
		return numberedClasses(items), nil
	}
	return slices.Sorted(maps.Keys(names)), nil
}
