// Package pack is the door for data. Pack turns labelled images into the shards that runs read, and
// Reindex writes an index for WebDataset shards of another tool. After either, every image is in
// the split that its owner means, once, with its own label, or it is counted and named among the
// rejects; what cannot be known is an error that names the option that settles it. The package
// refuses to know how images are decoded and what they are trained for.
//
// Files in reading order:
//
//	rules.go       what names, first bytes and labels mean, for all readers alike
//	source.go      Source, Listing and Item; OpenSource finds out what lies at a path
//	tree.go        folders and tar files as one tree, without a look at what names mean
//	tar.go         a tar file read from its first byte to its last, and as a part of a tree
//	splits.go      the split of folders, shards and other files; val as a part of train
//	layout.go      the class of each image of a tree
//	labelfile.go   classes of val in a file of their own, and ILSVRC's development kit
//	samples.go     the members of WebDataset shards gathered into samples
//	parquet.go     parquet files
//	idx.go         the MNIST family's files, as PNG files
//	settle.go      classes and labels, and what no run could use
//	pack.go        Pack: what the bytes of the images say, order, shards, index; shardfile.go writes
//	               and stores a shard
//	reindex.go     Reindex; shardlist.go finds the shards and reads other tools' lists
package pack

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/shards"
)

// Checks say how Pack and Reindex look at images, and who is told. The zero value does neither.
type Checks struct {
	// Verify looks at one image, usually by decoding it whole, and gives its size. An image that it
	// refuses is left out and returned as a Reject. It is called by several goroutines at once and
	// must not keep the bytes.
	Verify func(image []byte) (width, height int, err error)
	// Decoder is the name of what Verify decodes with, for the notes; "" is not noted.
	Decoder string
	// Progress is told how much is read and how much there is, one call at a time: images in Pack,
	// bytes in Reindex.
	Progress func(done, total int64)
	// Warn is told of what may be a mistake and is packed all the same, when all is stored. See
	// Index.Warnings for what the index itself tells.
	Warn func(warning string)
}

// PackOptions say how Pack cuts and checks a dataset. The zero value is a good packing without
// image checks.
type PackOptions struct {
	// Labels are the classes to pack. What they cannot settle is ErrUnfit before anything is
	// uploaded.
	Labels
	Checks
	// HoldOut takes a share of each class of train, above 0 and below 1, as val; nil takes none.
	// The source is then opened with SourceOptions.HoldOut.
	HoldOut *shards.HeldOut
	// Seed chooses the shuffle: samples are ordered by SHA-256(seed, split, name), so no random
	// generator is part of the format.
	Seed uint64
	// PerShard is the number of samples a shard holds at most; 0 means 1,000. A split's shards
	// differ by at most one sample.
	PerShard int
	// TempDir is where shards are put together; "" means the system's temporary folder.
	TempDir string

	workers int // shards in the making at once; 0 means one for each processor
}

// Pack writes the images of src to dst below prefix as pre-shuffled WebDataset shards, and
// index.json after the last of them. An image's bytes are stored as they are. It returns the index
// and the images that it left out, sorted by split and name; with an error, those it knows of.
//
// Equal input and options give equal bytes, so that Pack can be run again after any failure: what
// is there already is not uploaded again. A prefix that holds another dataset is refused with
// ErrExists. One shard for each processor is on the local disk at a time, one image for each in
// memory.
func Pack(ctx context.Context, src Source, dst *storage.Bucket, prefix string, o PackOptions) (shards.Index, []Reject, error) {
	o.PerShard = cmp.Or(o.PerShard, 1000)
	o.workers = cmp.Or(o.workers, runtime.GOMAXPROCS(0))
	listing, err := src.List(ctx)
	if err != nil {
		return shards.Index{}, nil, fmt.Errorf("listing the images: %w", err)
	}
	settled, err := o.settle(listing, o.HoldOut)
	rejects := append(listing.Rejects, settled.rejects...)
	if err != nil {
		slices.SortFunc(rejects, compareRejects)
		return shards.Index{}, rejects, err
	}
	p := &packer{src: src, options: o, labels: settled.labels, intake: intake{Checks: o.Checks, bucket: dst, prefix: prefix,
		items: listing.Items, seen: make([]look, len(listing.Items)), drawn: listing.Drawn, rejects: rejects}}
	if err := p.findStored(ctx); err != nil {
		return shards.Index{}, nil, err
	}
	chosen := p.chosen()
	if src, ok := src.(fetcher); ok {
		if err := src.Fetch(ctx, slices.Concat(slices.Collect(maps.Values(chosen))...)); err != nil {
			return shards.Index{}, nil, fmt.Errorf("reading the images: %w", err)
		}
	}
	splits, err := p.writeSplits(ctx, chosen)
	if err != nil {
		return shards.Index{}, p.rejects, err
	}
	p.warnings = listing.Warnings
	p.warnOfEmpty(listing.Empty, o.Labels)
	p.warnings = append(p.warnings, settled.warnings...)
	return p.finish(ctx, settled.classes, splits, o.HoldOut)
}

// intake is what a call of Pack or Reindex gathers on the way to the index.
type intake struct {
	Checks
	bucket   *storage.Bucket
	prefix   string
	items    []Item
	seen     []look // by item; each is written by one goroutine
	drawn    bool   // the sizes of the images say nothing
	warnings []string
	total    int64 // images, or bytes, to read

	mu      sync.Mutex // guards what follows: shards are read or written several at once
	done    int64
	rejects []Reject
}

// advance tells of progress.
func (in *intake) advance(n int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.done += n
	if in.Progress != nil {
		in.Progress(in.done, in.total)
	}
}

func (in *intake) leaveOut(r Reject) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.rejects = append(in.rejects, r)
}

// finish stores the index, which makes the dataset exist, and then the notes, so that those of
// another dataset stay.
func (in *intake) finish(ctx context.Context, classes []string, splits map[string][]shards.Shard, held *shards.HeldOut) (shards.Index, []Reject, error) {
	slices.SortFunc(in.rejects, compareRejects)
	ix := shards.Index{Version: shards.IndexVersion, Classes: classes, Counts: map[string]int{}, Splits: splits}
	for split, of := range splits {
		for i := range of {
			ix.Counts[split] += of[i].Samples.Len()
		}
	}
	err := ix.Validate()
	if err != nil {
		return shards.Index{}, in.rejects, fmt.Errorf("nothing to pack: %w", err)
	}
	in.warnOfTwins()
	in.warnOfRejects()
	notes := shards.Notes{Small: in.smallImages(), Decoder: in.Decoder, HeldOut: held, Warnings: in.warnings}
	if err = shards.CreateIndex(ctx, in.bucket, in.prefix, ix); err == nil {
		err = shards.PutNotes(ctx, in.bucket, in.prefix, ix, notes)
	}
	if err == nil && in.Warn != nil {
		for _, line := range notes.Lines() {
			in.Warn(line)
		}
	}
	return ix, in.rejects, err
}

// packer is one call of Pack.
type packer struct {
	intake
	src     Source
	options PackOptions
	labels  []int32 // by item

	indexed map[string]string // SHA-256 of the shards of the index that is there already; nil without one
	present map[string]int64  // sizes of what lies below prefix, by key
}

// chosen gives the places of the items of each split that have a label.
func (p *packer) chosen() map[string][]int {
	chosen := map[string][]int{}
	for i := range p.items {
		if p.labels[i] != notChosen {
			chosen[p.items[i].Split] = append(chosen[p.items[i].Split], i)
			p.total++
		}
	}
	return chosen
}

// writeSplits orders the images, cuts them into shards and writes these, some at a time.
func (p *packer) writeSplits(ctx context.Context, chosen map[string][]int) (map[string][]shards.Shard, error) {
	splits := map[string][]shards.Shard{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.options.workers)
	for _, split := range sortedKeys(chosen) {
		order := chosen[split]
		sortByHash(order, p.items, p.options.Seed, split)
		count := (len(order) + p.options.PerShard - 1) / p.options.PerShard
		written := make([]shards.Shard, count)
		splits[split] = written
		for i := range count {
			from, to := i*len(order)/count, (i+1)*len(order)/count
			name := fmt.Sprintf("%s-%06d.tar", split, i)
			group.Go(func() (err error) {
				if err := ctx.Err(); err != nil {
					return err
				}
				written[i], err = p.writeShard(ctx, name, order[from:to], from)
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for split, written := range splits {
		// A shard whose every image was refused was not written.
		splits[split] = slices.DeleteFunc(written, func(s shards.Shard) bool { return s.Samples.Len() == 0 })
		if len(splits[split]) == 0 {
			delete(splits, split)
		}
	}
	for _, split := range p.options.Splits {
		if len(splits[split]) == 0 {
			slices.SortFunc(p.rejects, compareRejects)
			first := slices.IndexFunc(p.rejects, func(r Reject) bool { return r.Split == split }) // there is one: settle has seen images
			return nil, unfit("all images of split %s were left out, such as %s", split, p.rejects[first])
		}
	}
	return splits, nil
}

// sortByHash sorts places of items by SHA-256(seed, purpose, name of the item), so that the order
// of the listing plays no part.
func sortByHash(places []int, items []Item, seed uint64, purpose string) {
	type hashed struct {
		sum   [sha256.Size]byte
		place int
	}
	prefix := append(binary.LittleEndian.AppendUint64(nil, seed), purpose+"\x00"...)
	hashes := make([]hashed, len(places))
	for i, place := range places {
		hashes[i] = hashed{sha256.Sum256(append(prefix[:len(prefix):len(prefix)], items[place].Name...)), place}
	}
	slices.SortFunc(hashes, func(a, b hashed) int {
		return cmp.Or(bytes.Compare(a.sum[:], b.sum[:]), cmp.Compare(a.place, b.place))
	})
	for i := range hashes {
		places[i] = hashes[i].place
	}
}

var seed = maphash.MakeSeed()

// look is what the bytes of an image say; the zero value where nobody has looked, or it is left
// out.
type look struct {
	sum   uint64 // of the bytes, never 0
	small bool   // its short side is below shards.ShortSide
}

// look gives the kind of an image whose name ends in ext, or says why it is left out.
func (c Checks) look(ext string, image []byte) (kind string, seen look, err error) {
	if c.Verify == nil && ext != "" && len(image) > 0 {
		kind = ext // what is packed without a check is believed to be what its name says
	} else if kind, err = imageKind(ext, image); err == nil && c.Verify != nil {
		var width, height int
		width, height, err = c.Verify(image)
		seen.small = min(width, height) < shards.ShortSide && width > 0
	}
	if err != nil {
		return "", look{}, err
	}
	seen.sum = max(maphash.Bytes(seed, image), 1)
	return kind, seen, nil
}

// smallImages is the number of images with a short side below shards.ShortSide if they are more
// than half; else 0.
func (in *intake) smallImages() int {
	taken, small := 0, 0
	for _, seen := range in.seen {
		if seen.sum != 0 {
			taken++
		}
		if seen.small {
			small++
		}
	}
	if in.drawn || 2*small <= taken {
		return 0
	}
	return small
}

func (in *intake) warn(format string, args ...any) {
	in.warnings = append(in.warnings, fmt.Sprintf(format, args...))
}

// warnOfEmpty tells of classes without an image. What a class list does not name is not missed.
func (in *intake) warnOfEmpty(folders []string, l Labels) {
	folders = slices.DeleteFunc(slices.Clone(folders), func(folder string) bool {
		_, class, _ := strings.Cut(folder, "/")
		return l.Unlabelled || len(l.Classes) > 0 && !slices.Contains(l.Classes, class)
	})
	if len(folders) > 0 {
		in.warn("%d class folders have no image: %s", len(folders), shards.Abbreviate(folders))
	}
}

// warnOfRejects tells how many images and other files are not packed, and the first of them.
func (in *intake) warnOfRejects() {
	n := 0
	for _, r := range in.rejects {
		n += r.Count()
	}
	if n > 0 {
		in.warn("%d images or other files were left out, such as %s", n, in.rejects[0].path())
	}
}

// warnOfTwins tells of images that come twice.
func (in *intake) warnOfTwins() {
	first := map[uint64]int32{} // place of the first image with these bytes; those of train come first
	for _, split := range []string{trainSplit, valSplit} {
		var both, twice []string
		for i, item := range in.items {
			sum := in.seen[i].sum
			if sum == 0 || item.Split != split {
				continue
			}
			j, again := first[sum]
			switch {
			case !again:
				first[sum] = int32(i)
			case in.items[j].Split != split:
				both = append(both, item.Name+" is "+in.items[j].Name)
			default:
				twice = append(twice, item.Name+" is "+in.items[j].Name)
			}
		}
		if len(both) > 0 {
			in.warn("%d images of split val are also in split train, byte by byte: %s", len(both), both[0])
		}
		if len(twice) > 0 {
			in.warn("%d images of split %s come twice, byte by byte: %s", len(twice), split, twice[0])
		}
	}
}
