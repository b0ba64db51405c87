package pack

import (
	"fmt"
	"hash/maphash"
	"sync/atomic"

	"github.com/cijepa/cijepa/storage/shards"
)

// looks keeps what the bytes of the images say while they pass by. Several goroutines look at once,
// each at other images.
type looks struct {
	verify        func(image []byte) (width, height int, err error)
	drawn         bool     // sizes say nothing
	sums          []uint64 // of the bytes, by item; 0: not looked at, or left out
	taken, little atomic.Int64
}

var seed = maphash.MakeSeed()

// at looks at the image of item i, whose name ends in ext, and gives the ending of its kind, or
// says why it is left out.
func (l *looks) at(i int, ext string, image []byte) (kind string, err error) {
	kind, seen := l.look(ext, image)
	if seen.err == nil {
		l.sums[i] = seen.sum
		l.count(seen)
	}
	return kind, seen.err
}

// look tells the kind of an image by its bytes.
func (l *looks) look(ext string, image []byte) (kind string, seen look) {
	if l.verify == nil && ext != "" && len(image) > 0 {
		kind = ext // what is packed without a check is believed to be what its name says
	} else if kind, seen.err = imageKind(ext, image); seen.err == nil && l.verify != nil {
		var width, height int
		width, height, seen.err = l.verify(image)
		seen.small = min(width, height) < shards.ShortSide && width > 0
	}
	if seen.err == nil {
		seen.sum = max(maphash.Bytes(seed, image), 1)
	}
	return kind, seen
}

func (l *looks) count(seen look) {
	l.taken.Add(1)
	if seen.small && !l.drawn {
		l.little.Add(1)
	}
}

// small is the number of images with a short side below shards.ShortSide if they are more than
// half; else 0.
func (l *looks) small() int {
	if little := l.little.Load(); 2*little > l.taken.Load() {
		return int(little)
	}
	return 0
}

// warnings tell of images that come twice.
func (l *looks) warnings(items []Item) (warnings []string) {
	first := map[uint64]int32{} // place of the first image with these bytes; those of train come first
	for _, split := range []string{trainSplit, valSplit} {
		var both, twice []string
		for i := range items {
			sum := l.sums[i]
			if sum == 0 || items[i].Split != split {
				continue
			}
			j, again := first[sum]
			switch {
			case !again:
				first[sum] = int32(i)
			case items[j].Split != split:
				both = append(both, items[i].Name+" is "+items[j].Name)
			default:
				twice = append(twice, items[i].Name+" is "+items[j].Name)
			}
		}
		if len(both) > 0 {
			warnings = append(warnings, fmt.Sprintf("%d images of split val are also in split train, byte by byte: %s", len(both), both[0]))
		}
		if len(twice) > 0 {
			warnings = append(warnings, fmt.Sprintf("%d images of split %s come twice, byte by byte: %s", len(twice), split, twice[0]))
		}
	}
	return warnings
}
