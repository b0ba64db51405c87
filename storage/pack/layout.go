package pack

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/cijepa/cijepa/storage/shards"
)

// treeSource makes a listing of a tree: images in class folders, or samples of WebDataset shards.
type treeSource struct {
	*tree
	options SourceOptions
	listing Listing
}

// List implements Source.
func (s *treeSource) List(ctx context.Context) (Listing, error) {
	folders, samples := s.expand()
	var images []*located
	for _, f := range folders {
		images = append(images, s.locate(f))
	}
	images, err := s.settleUnits(images, len(samples) > 0)
	if err == nil {
		err = s.listRejects()
	}
	if err == nil {
		err = s.listImages(images)
	}
	if err == nil && len(samples) > 0 {
		err = s.listShards(ctx, samples, images)
	}
	if err == nil && len(s.listing.Items) == 0 {
		err = s.nothing()
	}
	return s.listing, err
}

// listRejects takes what was left out while the tree was found. An archive that cannot be read is
// refused where it may be a split or a class.
func (s *treeSource) listRejects() error {
	for _, r := range s.rejects {
		first, below, cut := strings.Cut(r.Name, "/")
		r.Split, _ = splitOf(first)
		packed := packedError{}
		if errors.As(r.Err, &packed) && (r.Split == trainSplit || r.Split == valSplit) && !strings.Contains(below, "/") {
			return unfit("%s is %s", r.Name, packed.what)
		}
		if cut && (r.Split == trainSplit || r.Split == valSplit) {
			r.Name = below
		} else if r.Split != otherSplit {
			r.Split = ""
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
		what = "; it holds " + shards.Abbreviate(kinds)
	} else if len(s.listing.Rejects) > 0 {
		what = "; left out is " + s.listing.Rejects[0].String()
	}
	return unfit("%s has no image%s: expected %s", s.root, what, layout)
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

// cutWrappers drops folders that all images of a unit lie in and that are no class: "images", one
// that names the split again, as an archive within the folder of its split does, and any other that
// has no image of its own if there are two classes or more below it. A name under which images lie
// somewhere is that of a class.
func cutWrappers(units []*located, classes map[string]bool) {
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
			only, archive = l.rest[depth].name, l.rest[depth].archive || l.last.archive
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
		case own, classes[only]:
			return
		}
	}
}

// listImages takes the images of class folders.
func (s *treeSource) listImages(images []*located) error {
	units, parts, classes, classed := map[string][]*located{}, map[string]int{}, map[string]bool{}, map[string]bool{}
	for _, l := range images {
		units[l.split+"/"+l.unit] = append(units[l.split+"/"+l.unit], l)
		if len(l.rest) > 0 && len(l.members) > 0 {
			classes[l.rest[len(l.rest)-1].name] = true
		}
	}
	for _, unit := range units {
		cutWrappers(unit, classes)
		if slices.ContainsFunc(unit, func(l *located) bool { return len(l.members) > 0 }) {
			parts[unit[0].split]++
		}
		for _, l := range unit {
			classed[l.split] = classed[l.split] || len(l.members) > 0 && len(l.rest) > 0
		}
	}
	labels, err := s.valLabels(images)
	if err != nil {
		return err
	}
	counts := map[string]int{} // by split and class
	for _, l := range images {
		class, rest, err := s.classOf(l)
		if err != nil {
			return err
		}
		if len(l.rest) > 0 {
			counts[l.split+"/"+l.rest[0].name] += len(l.members)
		}
		dir := ""
		if parts[l.split] > 1 {
			dir = l.unit
		}
		for _, p := range rest {
			dir = path.Join(dir, p.name)
		}
		for _, m := range l.members {
			item := Item{Split: l.split, Name: path.Join(dir, m.name), Class: class, File: m.name, Ext: imageExt(m.name)}
			switch {
			case labels != nil && l.split == valSplit:
				var ok bool
				if item.Class, ok = labels[imageStem(m.name)]; !ok {
					item.Unlabelled = fmt.Errorf("%w: the file of val's labels does not name it", errNoLabel)
				}
			case item.Class == "" && classed[l.split] && !s.options.Unlabelled:
				s.listing.Rejects = append(s.listing.Rejects, Reject{Split: l.split, Name: item.Name, Err: errors.New("it lies in no class folder, but beside them")})
				continue
			case item.Class == "":
				item.Unlabelled = fmt.Errorf("%w; give each class a folder, or, for val, the file of its labels with -val-labels FILE (%s, or ILSVRC's development "+
					"kit)", errNoFolder, strings.Join(labelFiles[:2], ", "))
			}
			s.add(item, m.at)
		}
	}
	for _, class := range sortedKeys(counts) {
		if counts[class] == 0 {
			s.listing.Empty = append(s.listing.Empty, class)
		}
	}
	return nil
}

// classOf gives the class of a folder of images, and the folders that tell its images apart.
func (s *treeSource) classOf(l *located) (class string, rest []part, err error) {
	if len(l.rest) == 0 {
		return "", nil, nil
	}
	class, rest = l.rest[0].name, l.rest
	switch {
	case !rest[0].archive:
	case len(rest) > 1 && rest[1].name == class:
		rest = rest[1:] // the folder in the archive of a class
	case shardLike.MatchString(class) && s.options.Unlabelled:
		class = ""
	case shardLike.MatchString(class) && len(l.members) > 0:
		return "", nil, unfit("%s looks like a shard of WebDataset without labels, not like the archive of a class: unpack it into folders of classes, or pack it with "+
			"-unlabelled", pathOf(l.parts))
	}
	return class, rest, nil
}

// shardLike matches the names of shards that could pass for classes.
var shardLike = regexp.MustCompile(`^0[0-9]+$|^(shard|part|chunk)[-_0-9]`)

// add puts an item on the listing.
func (s *treeSource) add(item Item, at extent) {
	s.listing.Items = append(s.listing.Items, item)
	s.places = append(s.places, at)
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
