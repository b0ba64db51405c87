package pack

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/shards"
)

// ReindexOptions say how Reindex reads the shards of another tool. The zero value takes labels from
// .cls members.
type ReindexOptions struct {
	// Labels are as in PackOptions. A list of classes leaves the samples of others out of the
	// index.
	Labels
	Checks
	// Train and Val are patterns of the shards of a split, as in SourceOptions.
	Train, Val []string
	// LabelKey is the field of a sample's .json member that has its label, a number or a name; ""
	// means the .cls member.
	LabelKey string
}

// reindexers is how many shards are read at once.
const reindexers = 4

// Reindex makes the index of WebDataset shards that another tool has put below prefix, so that they
// can be used as they are. Which shards there are and of which split is taken from timm's
// _info.json or info.json, else from webdataset's own indexes (of the kind wids-shard-index-v1),
// else from the names of all .tar objects, by the rules that Pack has. Every shard is read once,
// whole, and counts and sizes that those files state must hold. Samples without an image are
// returned as rejects.
func Reindex(ctx context.Context, b *storage.Bucket, prefix string, o ReindexOptions) (shards.Index, []Reject, error) {
	entries, err := b.ListEntries(ctx, shards.KeyPrefix(prefix))
	if err != nil {
		return shards.Index{}, nil, fmt.Errorf("listing the shards: %w", err)
	}
	r := &reindexer{options: o, sizes: map[string]int64{}, intake: intake{Checks: o.Checks, bucket: b, prefix: prefix}}
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
	return r.index(ctx, scans)
}

// reindexer is one call of Reindex.
type reindexer struct {
	intake
	options ReindexOptions
	sizes   map[string]int64 // by name below prefix
}

// scanned is a shard as it was found. Labels are text until all shards are known.
type scanned struct {
	shards.Shard
	split string
	items []Item
	seen  []look
	notes []string
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
	return scans, group.Wait()
}

// scan reads one shard from its first byte to its last.
func (r *reindexer) scan(ctx context.Context, stated statedShard) (scanned, error) {
	stream, err := r.bucket.OpenAt(ctx, shards.KeyPrefix(r.prefix)+stated.name, 0)
	if err != nil {
		return scanned{}, err
	}
	defer stream.Close()
	found, seen, err := r.scanShard(stream, stated)
	if err == nil {
		err = stated.check(seen)
	}
	if err != nil {
		return scanned{}, fmt.Errorf("shard %s: %w", stated.name, err)
	}
	r.advance(found.Size)
	return found, nil
}

// scanShard takes the samples of a shard, and tells how many there are, rejected ones too.
func (r *reindexer) scanShard(stream io.Reader, stated statedShard) (found scanned, seen int, err error) {
	in, sum := bufio.NewReaderSize(stream, 1<<20), sha256.New()
	if head, err := in.Peek(headLength); len(head) > 0 { // a shorter one is told below
		if kind := kindOf(head); kind == "gzip" {
			return found, 0, unfit("it is compressed, and training reads shards where they lie: unpack it with gunzip")
		} else if err == nil && kind != "tar" && len(bytes.TrimRight(head, "\x00")) > 0 && strings.HasPrefix(kind, "a ") {
			return found, 0, corrupt("it is not a tar file but %s", kind)
		}
	}
	sampler := newSampler(stated.split, stated.name, r.options.LabelKey, func(item Item, key string, image picture) {
		found.Samples.Add(key, image.at.offset, image.at.length, shards.NoLabel)
		found.items, found.seen = append(found.items, item), append(found.seen, image.seen)
	}, r.leaveOut)
	found.Name, found.split = stated.name, stated.split
	found.Size, err = scanTar(io.TeeReader(in, sum), func(header *tar.Header, at int64, content io.Reader) (err error) {
		_, ending, ok := cutKey(header.Name)
		if !ok || !plainMember(header) || hiddenPath(header.Name) {
			return nil
		}
		member, text, image := picture{at: extent{offset: at, length: header.Size}}, []byte(nil), []byte(nil)
		switch {
		case sampler.labelMember(ending):
			text, err = io.ReadAll(io.LimitReader(content, largestLabel))
		case imageExt(header.Name) != "" && header.Size > 0:
			if image, err = io.ReadAll(content); err == nil {
				_, member.seen, member.err = r.look(imageExt(header.Name), image)
			}
		}
		if err != nil {
			return err
		}
		return sampler.add(header.Name, member, text)
	})
	if err == nil {
		err = sampler.end()
	}
	found.SHA256, found.notes = hex.EncodeToString(sum.Sum(nil)), sampler.notes()
	return found, sampler.seen, err
}

// index settles the classes and puts everything together.
func (r *reindexer) index(ctx context.Context, scans []scanned) (shards.Index, []Reject, error) {
	bySum := map[string]string{}
	for i := range scans {
		if other := bySum[scans[i].SHA256]; other != "" && len(scans[i].items) > 0 {
			return shards.Index{}, r.rejects, sameShards(other, scans[i].Name)
		}
		bySum[scans[i].SHA256] = scans[i].Name
		r.items = append(r.items, scans[i].items...)
		r.warnings = append(r.warnings, scans[i].notes...)
		if len(scans[i].items) == 0 {
			r.warn("shard %s has no sample that can be used", scans[i].Name)
		}
	}
	slices.SortFunc(r.rejects, compareRejects)
	if len(r.items) == 0 {
		return shards.Index{}, r.rejects, unfit("no shard has a sample with an image")
	}
	settled, err := r.options.settle(Listing{Items: r.items, Numbered: true, Rejects: r.rejects}, nil)
	r.rejects, r.warnings = append(r.rejects, settled.rejects...), append(r.warnings, settled.warnings...)
	if err != nil {
		slices.SortFunc(r.rejects, compareRejects)
		return shards.Index{}, r.rejects, err
	}
	r.seen = make([]look, len(r.items))
	splits := map[string][]shards.Shard{}
	first := 0 // place of the shard's first item
	for _, found := range scans {
		shard := found.Shard
		shard.Samples = shards.Samples{}
		for j, label := range settled.labels[first : first+len(found.items)] {
			if label != notChosen {
				r.seen[first+j] = found.seen[j]
				shard.Samples.Add(found.Samples.Keys[j], found.Samples.Offsets[j], found.Samples.Lengths[j], label)
			}
		}
		first += len(found.items)
		if shard.Samples.Len() > 0 {
			splits[found.split] = append(splits[found.split], shard)
		}
	}
	return r.finish(ctx, settled.classes, splits, nil)
}
