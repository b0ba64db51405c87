package pack

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/cijepa/cijepa/storage/shards"
)

// largestLabel bounds what is read of a member that may hold a label.
const largestLabel = 1 << 20

// picture is a member of a sample that may be its image.
type picture struct {
	ending string // all after the key's dot, in small letters
	at     extent
	seen   look
	err    error // why it is left out
}

// sample is what stands under one key of a WebDataset shard.
type sample struct {
	key    string
	image  picture
	label  string // as label reads it; "" with err nil: marked as unlabelled
	err    error  // why there is no label
	reject error  // why it is left out

	pictures []picture
	endings  []string
	labelled bool
}

// sampler gathers the members of one WebDataset shard, in the order of the file, into samples:
// those that stand side by side under the same key. What makes a sample ambiguous is an error: two
// images, a member that comes twice, members of one key in two places.
type sampler struct {
	split, shard string
	labelKey     string // "" = the .cls member
	found        func(item Item, key string, image picture)
	leaveOut     func(Reject)

	keys, names map[uint64]bool // hashes of those that have come
	hash        maphash.Seed
	seen        int            // samples, rejected ones too
	note        map[string]int // what was seen and not used, in words, and how often
	fields      []string       // of the last .json that was read

	begun bool
	sample
}

func newSampler(split, shard, labelKey string, found func(item Item, key string, image picture), leaveOut func(Reject)) *sampler {
	return &sampler{split: split, shard: shard, labelKey: labelKey, found: found, leaveOut: leaveOut,
		keys: map[uint64]bool{}, names: map[uint64]bool{}, hash: maphash.MakeSeed(), note: map[string]int{}}
}

// cutKey parts a member's name at the first dot after the last slash; a name without one belongs to
// no sample.
func cutKey(name string) (key, ending string, ok bool) {
	folder, base := path.Split(name)
	base, ending, ok = strings.Cut(base, ".")
	return folder + base, strings.ToLower(ending), ok && base != ""
}

// labelMember tells whether a member is read for a label.
func (s *sampler) labelMember(ending string) bool {
	if s.labelKey == "" {
		return ending == "cls" || ending == "json" && s.fields == nil // one names the fields there are
	}
	return ending == "json"
}

// add takes up a member. text is its content where labelMember wants it.
func (s *sampler) add(name string, content picture, text []byte) error {
	key, ending, ok := cutKey(name)
	if !ok {
		return nil
	}
	content.ending = ending
	member := maphash.String(s.hash, key+"."+ending)
	if !s.begun || key != s.key {
		if err := s.end(); err != nil {
			return err
		}
		s.begun, s.key = true, key
		sum := maphash.String(s.hash, key)
		if s.keys[sum] && !s.names[member] {
			return unfit("the members of sample %s do not stand side by side: sort the names (tar --sort=name) and pack them again", key)
		}
		s.keys[sum] = true
	}
	if s.names[member] {
		return unfit("the member %s comes twice: two samples have one key; pack them again with keys of their own", name)
	}
	s.names[member] = true
	s.endings = append(s.endings, "."+ending)
	switch {
	case imageExt("."+ending) != "":
		s.pictures = append(s.pictures, content)
	case ending == "cls" && s.labelKey == "":
		s.labelled = true
		s.label, s.err = label(string(text))
	case ending == "json":
		return s.json(text)
	}
	return nil
}

// json looks for the label in a sample's description.
func (s *sampler) json(text []byte) error {
	if s.labelKey == "" && s.fields != nil {
		return nil // the fields of one sample are enough to be named
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		if s.labelKey != "" {
			s.labelled, s.err = true, fmt.Errorf("its .json member is no JSON object: %w", err)
		}
		return nil
	}
	s.fields = []string{}
	for name := range fields {
		s.fields = append(s.fields, name)
	}
	slices.Sort(s.fields)
	raw, ok := fields[s.labelKey]
	if !ok {
		return nil
	}
	s.labelled = true
	var name string
	if json.Unmarshal(raw, &name) != nil {
		name = string(raw)
	}
	s.label, s.err = label(name)
	return nil
}

// end takes leave of the sample whose members have come.
func (s *sampler) end() error {
	if !s.begun {
		return nil
	}
	s.seen++
	bare := slices.DeleteFunc(slices.Clone(s.pictures), func(p picture) bool { return strings.Contains(p.ending, ".") })
	switch {
	case len(bare) > 1:
		return unfit("sample %s has %d images, .%s and .%s: only one can be the sample's", s.key, len(bare), bare[0].ending, bare[1].ending)
	case len(bare) == 1:
		s.image = bare[0]
		for _, p := range s.pictures {
			if p.ending != s.image.ending {
				s.note["have a second image, ."+p.ending+", beside the one that is taken"]++
			}
		}
	case len(s.pictures) == 1:
		s.image = s.pictures[0]
	case len(s.pictures) > 1:
		return unfit("the %d members %s all have the key %s, because a key of WebDataset ends at the first dot of a file name, and none is the image .jpg, .png or "+
			".webp: pack them again with names that have one dot", len(s.endings), shards.Abbreviate(s.endings), s.key)
	default:
		s.reject = fmt.Errorf("it has no .jpg, .jpeg, .png or .webp member but %s", shards.Abbreviate(s.endings))
	}
	if s.reject == nil && s.image.at.length == 0 {
		s.reject = errors.New("the image is empty")
	}
	s.reject = cmp.Or(s.reject, s.image.err)
	if !s.labelled {
		s.err = fmt.Errorf("%w: its members are %s", errNoLabel, shards.Abbreviate(s.endings))
		switch {
		case len(s.fields) > 0 && s.labelKey == "":
			s.err = fmt.Errorf("%w; -label KEY takes a field of its .json, which has %s", s.err, shards.Abbreviate(s.fields))
		case s.labelKey != "":
			s.err = fmt.Errorf("%w, and its .json has the fields %s but not %s", s.err, shards.Abbreviate(s.fields), s.labelKey)
		}
	}
	name, ending := s.shard+"/"+s.key, s.image.ending
	if s.reject != nil {
		s.leaveOut(Reject{Split: s.split, Name: name, Err: s.reject})
	} else {
		s.found(Item{Split: s.split, Name: name, Class: s.label, Unlabelled: s.err, File: path.Base(s.key) + "." + ending, Ext: imageExt("." + ending)}, s.key, s.image)
	}
	s.begun, s.sample = false, sample{}
	return nil
}

// notes are what was seen and not used, a line each.
func (s *sampler) notes() []string {
	var lines []string
	for what, n := range s.note {
		lines = append(lines, fmt.Sprintf("%s: %d samples %s", s.shard, n, what))
	}
	slices.Sort(lines)
	return lines
}

// listShards takes the samples of WebDataset shards of a tree.
func (s *treeSource) listShards(ctx context.Context, samples []*folder, images []*located) error {
	s.listing.Numbered = true
	byName, folders := map[string]*folder{}, map[string]bool{}
	for _, f := range samples {
		byName[pathOf(f.parts)] = f
	}
	for _, l := range images {
		folders[l.split] = folders[l.split] || len(l.members) > 0
	}
	names := sortedKeys(byName)
	beside := map[string]int64{} // lists that lie beside shards or above them
	for list, size := range s.lists {
		dir := path.Dir(list)
		if dir == "." || slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, dir+"/") }) {
			beside[list] = size
		}
	}
	listed, err := shardLists(beside, func(name string) ([]byte, error) { return os.ReadFile(s.place(name)) })
	if err != nil {
		return err
	}
	all, gaps, err := splitShards(names, listed, s.options.Train, s.options.Val)
	if err != nil {
		return err
	}
	s.listing.Warnings = append(s.listing.Warnings, gaps...)
	var taken []string
	for _, shard := range all {
		name, split, f := shard.name, shard.split, byName[shard.name]
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case split != trainSplit && split != valSplit:
			s.pass(otherSplit, name, passedOver(split, "PATTERN", s.options.HoldOut), len(f.members))
			continue
		case folders[split]:
			s.pass(split, name, errors.New("a shard beside the folder of its split"), len(f.members))
			continue
		}
		seen, err := s.listShard(f, split, name)
		if err == nil {
			err = shard.check(seen)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, other := range taken {
			if s.sameBytes(f, byName[other]) {
				return sameShards(other, name)
			}
		}
		taken = append(taken, name)
	}
	return nil
}

func sameShards(a, b string) error {
	return unfit("the shards %s and %s have the same bytes: take one of them away", a, b)
}

// listShard takes the samples of one shard, and tells how many there are, rejected ones too.
func (s *treeSource) listShard(f *folder, split, name string) (int, error) {
	sampler := newSampler(split, name, s.options.Label, func(item Item, _ string, image picture) {
		s.add(item, image.at)
	}, func(r Reject) { s.listing.Rejects = append(s.listing.Rejects, r) })
	for _, m := range f.members {
		var text []byte
		if _, ending, _ := cutKey(m.name); sampler.labelMember(ending) {
			label, err := m.at, error(nil)
			label.length = min(label.length, largestLabel)
			if text, err = s.appendAt(nil, label); err != nil {
				return 0, err
			}
		}
		if err := sampler.add(m.name, picture{at: m.at}, text); err != nil {
			return 0, err
		}
	}
	if err := sampler.end(); err != nil {
		return 0, err
	}
	if sampler.seen == 0 {
		s.listing.Warnings = append(s.listing.Warnings, name+" has no sample")
	}
	s.listing.Warnings = append(s.listing.Warnings, sampler.notes()...)
	return sampler.seen, nil
}

// sameBytes tells whether two shards have the same members.
func (s *treeSource) sameBytes(a, b *folder) bool {
	return len(a.members) > 0 && slices.EqualFunc(a.members, b.members, func(m, n leaf) bool {
		if m.name != n.name || m.at.length != n.at.length {
			return false
		}
		one, err := s.appendAt(nil, m.at)
		other, otherErr := s.appendAt(nil, n.at)
		return err == nil && otherErr == nil && bytes.Equal(one, other)
	})
}
