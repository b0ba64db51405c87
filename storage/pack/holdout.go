package pack

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"

	"github.com/cijepa/cijepa/storage/shards"
)

// HoldOut takes a part of train as val. The zero value takes none.
type HoldOut struct {
	// Share is the part of the images of each class, above 0 and below 1. The number is rounded to
	// the nearest whole one, but at least one image of a class is held out, and one stays.
	Share float64
	// Seed chooses the images: of a class those whose SHA-256(seed, class, name) is smallest, so
	// that the order in which a source is read plays no part.
	Seed uint64
}

// images is the number held out of n images of one class.
func (h HoldOut) images(n int) int {
	return min(max(int(math.Round(h.Share*float64(n))), 1), n-1)
}

// apply moves the chosen items from train to val. labels are those of the items; the whole listing
// is known by then, so that the counts of the classes are exact.
func (h HoldOut) apply(items []Item, classes []string, labels []int32) error {
	if h.Share == 0 {
		return nil
	}
	places := map[int32][]int{}
	for i := range items {
		if items[i].Split != trainSplit {
			return unfit("val is to be held out of train, but %s is of split %s", items[i].Name, items[i].Split)
		}
		if labels[i] != notChosen {
			places[labels[i]] = append(places[labels[i]], i)
		}
	}
	for label, of := range places {
		class := ""
		if label != shards.NoLabel {
			class = classes[label]
		}
		sums := make(map[int][sha256.Size]byte, len(of))
		prefix := append(binary.LittleEndian.AppendUint64(nil, h.Seed), "held out\x00"+class+"\x00"...)
		for _, i := range of {
			sums[i] = sha256.Sum256(append(prefix[:len(prefix):len(prefix)], items[i].Name...))
		}
		slices.SortFunc(of, func(a, b int) int {
			x, y := sums[a], sums[b]
			return cmp.Or(bytes.Compare(x[:], y[:]), cmp.Compare(a, b))
		})
		for _, i := range of[:h.images(len(of))] {
			items[i].Split = valSplit
		}
	}
	return nil
}

// note is what the dataset's notes keep of it; nil where nothing is held out.
func (h HoldOut) note() *shards.HeldOut {
	if h.Share == 0 {
		return nil
	}
	return &shards.HeldOut{Share: h.Share, Seed: h.Seed}
}
