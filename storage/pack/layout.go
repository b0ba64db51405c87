package pack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/cijepa/cijepa/storage"
)

// treeSource makes a listing of a tree: images in class folders, or samples of WebDataset shards.
type treeSource struct {
	*tree
	options SourceOptions
	paths   []string // by place in the listing; "" for an image in a tar file
	listing Listing
	hash    maphash.Seed
}

// located is a folder whose split is known. unit is the path of what names the split, and rest the
// folders below it.
type located struct {
	*folder
	split, unit string
	name, word  string // of the unit: its last name, and the word that names the split, "" if a pattern does
	archive     bool
	rest        []part
}

// List implements Source.
func (s *treeSource) List(ctx context.Context) (Listing, error) {
	s.hash = maphash.MakeSeed()
	folders, samples := s.expand()
	var images []*located
	for _, f := range folders {
		images = append(images, s.locate(f))
	}
	images = s.settleUnits(images)
	if err := oneUnit(images); err != nil {
		return Listing{}, err
	}
	if err := s.listRejects(); err != nil {
		return Listing{}, err
	}
	if err := s.listImages(images); err != nil {
		return Listing{}, err
	}
	if err := s.listShards(ctx, samples, images); err != nil {
		return Listing{}, err
	}
	if len(s.listing.Items) == 0 {
		return Listing{}, s.nothing()
	}
	return s.listing, nil
}

// listRejects takes what was left out while the tree was found. An archive that cannot be read is
// refused where it may be a split or a class.
func (s *treeSource) listRejects() error {
	for _, r := range s.rejects {
		first, below, cut := strings.Cut(r.Name, "/")
		r.Split, _ = splitOf(first)
		packed := packedError{}
		if errors.As(r.Err, &packed) && (r.Split == trainSplit || r.Split == valSplit) && !strings.Contains(below, "/") {
			return fmt.Errorf("%w: %s is %s", storage.ErrUnfit, r.Name, packed.what)
		}
		if r.Split != "" && cut {
			r.Name = below
		} else if r.Split == "" {
			r.Split = trainSplit
		}
		s.listing.Rejects = append(s.listing.Rejects, r)
	}
	return nil
}

// packedError is the reason to leave out a file that holds other files and cannot be read.
type packedError struct{ what string }

func (e packedError) Error() string { return "not an image but " + e.what }

// nothing says why there is no image.
func (s *treeSource) nothing() error {
	what := ""
	if len(s.foreign) > 0 {
		var kinds []string
		for kind, n := range s.foreign {
			kinds = append(kinds, fmt.Sprintf("%d times %s", n, kind))
		}
		slices.Sort(kinds)
		what = "; it holds " + someOf(kinds)
	} else if len(s.listing.Rejects) > 0 {
		what = "; left out is " + s.listing.Rejects[0].String()
	}
	return fmt.Errorf("%w: %s has no image%s: expected %s", storage.ErrUnfit, s.root, what, layout)
}

// expand parts the folders of images from the shards. A tar file without labels is a shard as well
// if those beside it are.
func (s *treeSource) expand() (folders, samples []*folder) {
	inShards := map[string]bool{}
	beside := func(f *folder) string { return pathOf(f.parts[:len(f.parts)-1]) }
	for _, f := range s.folders {
		if f.shard && f.samples() {
			inShards[beside(f)] = true
		}
	}
	for _, f := range s.folders {
		switch {
		case f.shard && inShards[beside(f)]:
			samples = append(samples, f)
		case f.shard:
			folders = append(folders, f.split(s.reject)...)
		default:
			folders = append(folders, f)
		}
	}
	return folders, samples
}

// locate finds the split of a folder: what a pattern says, else the outermost word.
func (s *treeSource) locate(f *folder) *located {
	l := &located{folder: f, rest: f.parts}
	if len(l.rest) > 0 && l.rest[0].archive && pathOf(l.rest[:1]) == filepath.Base(s.root) { // the source itself
		l.rest = l.rest[1:]
	}
	o := s.options
	for i := range f.parts {
		at := pathOf(f.parts[:i+1])
		split, word := splitOf(f.parts[i].name)
		switch {
		case matchesHere(o.Val, at):
			split, word = valSplit, ""
		case matchesHere(o.Train, at):
			split, word = trainSplit, ""
		case split == trainSplit && len(o.Train) > 0, split == valSplit && len(o.Val) > 0:
			split = otherSplit // the patterns say what is wanted
			if matchesBelow(slices.Concat(o.Train, o.Val), at) {
				continue
			}
		case split == "":
			continue
		}
		last := f.parts[i]
		l.split, l.unit, l.name, l.word, l.archive, l.rest = split, at, last.name, word, last.archive, f.parts[i+1:]
		return l
	}
	return l
}

// matchesBelow tells whether a pattern names something below a folder, by its whole path.
func matchesBelow(patterns []string, folder string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return strings.HasPrefix(path.Clean(pattern), folder+"/") })
}

// settleUnits decides what happens to what has no split by its name, and to archives beside a
// folder of their split.
func (s *treeSource) settleUnits(images []*located) []*located {
	known, folders := map[string]bool{}, map[string]bool{}
	for _, l := range images {
		if len(l.members) > 0 {
			known[l.split] = true
			folders[l.split] = folders[l.split] || !l.archive && l.split != ""
		}
	}
	unnamed := ""
	if !known[trainSplit] && (len(s.options.Val) > 0 || !known[valSplit] && !known[otherSplit]) {
		unnamed = trainSplit
	}
	passed := map[Reject]int{} // images
	pass := func(split, name, why string, n int) {
		passed[Reject{Split: split, Name: name, Err: leftOutFor(why)}] += n
	}
	var kept []*located
	for _, l := range images {
		n := len(l.members)
		switch {
		case l.split == "" && unnamed != "":
			l.split = unnamed
			kept = append(kept, l)
		case n == 0 && !(l.disk != "" && l.split != "" && len(l.rest) == 1): // an empty class is told
		case l.split == "":
			pass(otherSplit, firstPart(l.parts), passedOver(""), n)
		case l.split == otherSplit:
			pass(otherSplit, l.unit, "another split, which is passed over: -val "+l.name+" takes it as val", n)
		case l.archive && folders[l.split]:
			pass(l.split, l.unit, "an archive beside the folder of its split", n)
		default:
			kept = append(kept, l)
		}
	}
	for _, r := range slices.SortedFunc(maps.Keys(passed), compareRejects) {
		s.pass(r.Split, r.Name, r.Err.Error(), passed[r])
	}
	return kept
}

// leftOutFor is a reason that can be the key of a map.
type leftOutFor string

func (e leftOutFor) Error() string { return string(e) }

// pass leaves many images out at once.
func (s *treeSource) pass(split, name, why string, images int) {
	if images > 0 {
		s.listing.Rejects = append(s.listing.Rejects, Reject{Split: split, Name: name, Images: images, Err: errors.New(why)})
	}
}

func firstPart(parts []part) string {
	if len(parts) == 0 {
		return "."
	}
	return parts[0].file
}

var year = regexp.MustCompile(`(19|20)[0-9]{2}`)

// likeness is what parts of one split have in common: its letters and its years, for train.X1 and
// train.X2.
func (l *located) likeness() string {
	return path.Dir(l.unit) + "/" + letters(l.name) + strings.Join(year.FindAllString(l.name, -1), " ")
}

// letters are the letters of a path in small ones, and its slashes.
func letters(name string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) || c == '/' {
			return unicode.ToLower(c)
		}
		return -1
	}, name)
}

// oneUnit refuses two folders for one split.
func oneUnit(images []*located) error {
	first := map[string]*located{}
	for _, l := range images {
		if l.word == "" || len(l.members) == 0 {
			continue
		}
		if f := first[l.split]; f == nil {
			first[l.split] = l
		} else if f.likeness() != l.likeness() {
			return twoUnits(l.split, f.unit, l.unit)
		}
	}
	return nil
}

func twoUnits(split, a, b string) error {
	return fmt.Errorf("%w: both %s and %s are split %s by their names: say which one is with -%s PATTERN",
		storage.ErrUnfit, a, b, split, split)
}

// cutWrappers drops folders that all images of a unit lie in and that are no class: "images", one
// that names the split again, as an archive within the folder of its split does, and any other that
// has no image of its own if there are two classes or more below it.
func cutWrappers(units []*located) {
	cut := func(depth int) {
		for _, l := range units {
			l.rest = l.rest[min(depth, len(l.rest)):]
		}
	}
	for depth := 0; ; depth++ {
		names, only, own, archive := map[string]bool{}, "", false, false
		for _, l := range units {
			if len(l.members) == 0 {
				continue
			}
			if len(l.rest) <= depth {
				return
			}
			only, archive = l.rest[depth].name, l.rest[depth].archive || l.archive
			names[only] = true
			own = own || len(l.rest) == depth+1
		}
		again, _ := splitOf(only)
		switch {
		case len(names) == 0:
			return
		case len(names) > 1:
			cut(depth)
			return
		case strings.EqualFold(only, "images"), strings.EqualFold(only, "JPEGImages"), again == units[0].split && (!own || archive):
			cut(depth + 1)
			depth = -1
		case own:
			return
		}
	}
}

// listImages takes the images of class folders.
func (s *treeSource) listImages(images []*located) error {
	units := map[string][]*located{}
	splits := map[string]map[string]bool{}
	classed := map[string]bool{}
	for _, l := range images {
		units[l.split+"\x00"+l.unit] = append(units[l.split+"\x00"+l.unit], l)
	}
	for _, unit := range units {
		cutWrappers(unit)
		for _, l := range unit {
			if len(l.members) == 0 {
				continue
			}
			if splits[l.split] == nil {
				splits[l.split] = map[string]bool{}
			}
			splits[l.split][l.unit] = true
			classed[l.split] = classed[l.split] || len(l.rest) > 0
		}
	}
	labels, err := s.valLabels(images)
	if err != nil {
		return err
	}
	counts := map[string]int{}
	for _, l := range images {
		if len(l.rest) > 0 {
			counts[l.split+"/"+l.rest[0].name] += len(l.members)
		}
		for _, m := range l.members {
			item := Item{Split: l.split, File: m.name, Ext: imageExt(m.name)}
			rest := l.rest
			if len(rest) > 0 {
				item.Class = rest[0].name
				if rest[0].archive && len(rest) > 1 && rest[1].name == item.Class {
					rest = rest[1:] // the folder in the archive of a class
				}
				switch shard := rest[0].archive && shardLike.MatchString(item.Class); {
				case shard && s.options.Unlabelled:
					item.Class = ""
				case shard:
					return fmt.Errorf("%w: %s looks like a shard of WebDataset without labels, not like "+
						"the archive of a class: unpack it into folders of classes, or pack it with -unlabelled",
						storage.ErrUnfit, pathOf(l.parts))
				}
			}
			names := make([]string, 0, 4)
			if len(splits[l.split]) > 1 {
				names = append(names, l.unit)
			}
			for _, p := range rest {
				names = append(names, p.name)
			}
			item.Name = path.Join(append(names, m.name)...)
			switch {
			case labels != nil && l.split == valSplit:
				class, ok := labels[imageStem(m.name)]
				if item.Class = class; !ok {
					item.Unlabelled = fmt.Errorf("%w: the file of val's labels does not name it", errNoLabel)
				}
			case item.Class == "" && classed[l.split] && !s.options.Unlabelled:
				s.listing.Rejects = append(s.listing.Rejects, Reject{Split: l.split, Name: item.Name, Err: errors.New("it " +
					"lies in no class folder, but beside them")})
				continue
			case item.Class == "":
				item.Unlabelled = fmt.Errorf("%w; give each class a folder, "+
					"or, for val, the file of its labels with -val-labels FILE (%s, or ILSVRC's "+
					"development kit)",
					errNoFolder, strings.Join(labelFiles[:2], ", "))
			}
			at := ""
			if l.disk != "" {
				at = l.disk + string(filepath.Separator) + m.name
			}
			s.add(item, m.at, at)
		}
	}
	for class, n := range counts {
		if n == 0 && !strings.HasPrefix(class, otherSplit+"/") {
			s.listing.Empty = append(s.listing.Empty, class)
		}
	}
	slices.Sort(s.listing.Empty)
	return nil
}

// shardLike matches the names of shards that could pass for classes.
var shardLike = regexp.MustCompile(`^0[0-9]+$|^(shard|part|chunk)[-_0-9]`)

// add puts an item on the listing.
func (s *treeSource) add(item Item, at extent, disk string) {
	s.listing.Items = append(s.listing.Items, item)
	s.places = append(s.places, at)
	s.paths = append(s.paths, disk)
}

// valLabels reads the file of val's labels: the one that is named, or one of the known names in the
// source if val lies in no class folders.
func (s *treeSource) valLabels(images []*located) (map[string]string, error) {
	name, flat := s.options.ValLabels, true
	stems := map[string]bool{}
	for _, l := range images {
		if l.split == valSplit {
			flat = flat && (len(l.rest) == 0 || len(l.members) == 0)
			for _, m := range l.members {
				stems[imageStem(m.name)] = true
			}
		}
	}
	for _, known := range labelFiles {
		if name == "" && flat && len(stems) > 0 {
			name = s.labels[known]
		}
	}
	if name == "" || s.options.Unlabelled {
		return nil, nil
	}
	labels, err := readLabelFile(name, func(stem string) bool { return stems[stem] })
	if err != nil {
		return nil, fmt.Errorf("the labels of val: %w", err)
	}
	return labels, nil
}

// listShards takes the samples of WebDataset shards.
func (s *treeSource) listShards(ctx context.Context, samples []*folder, images []*located) error {
	if len(samples) == 0 {
		return nil
	}
	s.listing.Numbered = true
	names := map[string]*folder{}
	for _, f := range samples {
		names[pathOf(f.parts)] = f
	}
	all := sortedKeys(names)
	stated, counts, err := s.statedShards(names)
	if err != nil {
		return err
	}
	splits, err := splitShards(all, stated, s.options.Train, s.options.Val)
	if err != nil {
		return err
	}
	gaps, err := checkRows(all)
	if err != nil {
		return err
	}
	s.listing.Warnings = append(s.listing.Warnings, gaps...)
	folders := map[string]bool{}
	for _, l := range images {
		folders[l.split] = folders[l.split] || len(l.members) > 0
	}
	bySum := map[uint64]string{}
	for _, name := range all {
		split, f := splits[name], names[name]
		if err := ctx.Err(); err != nil {
			return err
		}
		switch {
		case split != trainSplit && split != valSplit:
			s.pass(otherSplit, name, passedOver(split), len(f.members))
			continue
		case folders[split]:
			s.pass(split, name, "a shard beside the folder of its split", len(f.members))
			continue
		}
		seen, err := s.listShard(f, split, name)
		if err == nil && counts[name] > 0 && seen != counts[name] {
			err = fmt.Errorf("%w: it has %d samples, its list says %d", storage.ErrCorrupt, seen, counts[name])
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		sum := s.fingerprint(f)
		if other, ok := bySum[sum]; ok && s.sameBytes(f, names[other]) {
			return sameShards(other, name)
		}
		bySum[sum] = name
	}
	return nil
}

func sameShards(a, b string) error {
	return fmt.Errorf("%w: the shards %s and %s have the same bytes: take one of them away", storage.ErrUnfit, a, b)
}

// passedOver says why a shard is.
func passedOver(split string) string {
	if split == "" {
		return "no word of its path names a split: -val or -train PATTERN takes it"
	}
	return "another split, which is passed over: -val PATTERN takes it as val"
}

// statedShards reads other tools' lists of shards that lie beside the shards or above them.
func (s *treeSource) statedShards(names map[string]*folder) (splits map[string]string, samples map[string]int, err error) {
	beside := map[string]int64{}
	for list, size := range s.lists {
		for name := range names {
			if dir := path.Dir(list); dir == "." || strings.HasPrefix(name, dir+"/") {
				beside[list] = size
			}
		}
	}
	stated, err := shardLists(beside, func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(s.root, filepath.FromSlash(name))) })
	if err != nil {
		return nil, nil, err
	}
	splits, samples = map[string]string{}, map[string]int{}
	for _, shard := range stated {
		if names[shard.name] == nil {
			return nil, nil, fmt.Errorf("%w: the shard %s is listed but not there", storage.ErrCorrupt, shard.name)
		}
		splits[shard.name], samples[shard.name] = shard.split, shard.samples
	}
	return splits, samples, nil
}

// listShard takes the samples of one shard, and tells how many there are, rejected ones too.
func (s *treeSource) listShard(f *folder, split, name string) (int, error) {
	sampler := newSampler(s.options.Label, func(found sample) {
		item := Item{Split: split, Name: name + "/" + found.key, Class: found.label, Unlabelled: found.err,
			File: path.Base(found.key) + "." + found.image.ending, Ext: imageExt("." + found.image.ending)}
		if found.reject != nil {
			s.listing.Rejects = append(s.listing.Rejects, Reject{Split: split, Name: item.Name, Err: found.reject})
			return
		}
		s.add(item, extent{f.members[0].at.file, found.image.offset, found.image.length}, "")
	})
	for _, m := range f.members {
		var text []byte
		if _, ending, _ := cutKey(m.name); sampler.labelMember(ending) {
			text = make([]byte, min(m.at.length, largestLabel))
			if _, err := s.files[m.at.file].ReadAt(text, m.at.offset); err != nil {
				return 0, err
			}
		}
		if err := sampler.add(m.name, picture{offset: m.at.offset, length: m.at.length}, text); err != nil {
			return 0, err
		}
	}
	if err := sampler.end(); err != nil {
		return 0, err
	}
	if sampler.seen == 0 {
		s.listing.Warnings = append(s.listing.Warnings, name+" has no sample")
	}
	s.listing.Warnings = append(s.listing.Warnings, sampler.notes(name)...)
	return sampler.seen, nil
}

// fingerprint is equal for shards whose members have equal names and sizes.
func (s *treeSource) fingerprint(f *folder) uint64 {
	var h maphash.Hash
	h.SetSeed(s.hash)
	for _, m := range f.members {
		fmt.Fprintf(&h, "%s\x00%d\x00", m.name, m.at.length)
	}
	return h.Sum64()
}

// sameBytes compares shards whose members have equal names and sizes.
func (s *treeSource) sameBytes(a, b *folder) bool {
	var x, y []byte
	for i, m := range a.members {
		x, y = slices.Grow(x[:0], int(m.at.length))[:m.at.length], slices.Grow(y[:0], int(m.at.length))[:m.at.length]
		_, errX := s.files[m.at.file].ReadAt(x, m.at.offset)
		_, errY := s.files[b.members[i].at.file].ReadAt(y, b.members[i].at.offset)
		if errX != nil || errY != nil || !bytes.Equal(x, y) {
			return false
		}
	}
	return len(a.members) > 0
}

// splitShards gives the split of each shard: what a pattern says, else another tool's list, else
// the words of its path. Where these name none at all, every shard is of train.
func splitShards(names []string, stated map[string]string, train, val []string) (map[string]string, error) {
	splits, likes := map[string]string{}, map[string]string{}
	wanted := map[string]bool{trainSplit: len(train) == 0, valSplit: len(val) == 0} // by their words
	known := map[string]bool{}
	for _, name := range names {
		split, listed := stated[name]
		switch {
		case matches(val, name):
			split = valSplit
		case matches(train, name):
			split = trainSplit
		case len(stated) > 0 && !listed:
			split = ""
		default:
			if !listed {
				of, like, err := splitOfPath(name)
				if err != nil {
					return nil, err
				}
				if first, ok := likes[of]; ok && first != like && wanted[of] {
					return nil, twoUnits(of, strings.TrimPrefix(first, "/"), strings.TrimPrefix(like, "/"))
				}
				split, likes[of] = of, like
			}
			if split != "" && !wanted[split] {
				split = otherSplit
			}
		}
		splits[name] = split
		known[split] = true
	}
	for name, split := range splits {
		if split == "" && !known[trainSplit] && (len(val) > 0 || len(known) == 1) && len(stated) == 0 {
			splits[name] = trainSplit
		}
	}
	return splits, nil
}

// splitOfPath gives the split that the words of a path name, which must agree, and what paths of
// this split have in common.
func splitOfPath(name string) (split, like string, err error) {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		of, _ := splitOf(stem(part))
		switch {
		case of == "" || of == split:
			continue
		case split != "":
			return "", "", fmt.Errorf("%w: the name of %s has words of two splits: say which are "+
				"which with -train PATTERN and -val PATTERN", storage.ErrUnfit, name)
		}
		_, word := splitOf(stem(part))
		if split = of; i < len(parts)-1 {
			word = part
		}
		like = letters(path.Join(append(parts[:i:i], word)...))
	}
	return split, like, nil
}

// Read implements Source.
func (s *treeSource) Read(i int, buf []byte) ([]byte, error) {
	if s.paths[i] == "" {
		return s.extents.Read(i, buf)
	}
	file, err := os.Open(s.paths[i])
	if err != nil {
		return buf, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return buf, err
	}
	start := len(buf)
	buf = slices.Grow(buf, int(info.Size()))[:start+int(info.Size())]
	if _, err := io.ReadFull(file, buf[start:]); err != nil {
		return buf[:start], fmt.Errorf("%s: %w", s.paths[i], err)
	}
	return buf, nil
}
