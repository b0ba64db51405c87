package pack

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/shards"
)

// located is a folder whose split is known. unit is the path of what names the split, last its last
// name, and rest the folders below it.
type located struct {
	*folder
	split, unit string
	last        part
	word        bool // a word names the split, and not a pattern
	rest        []part
}

// wanted are the splits that words name: where patterns say what a split is, its words do not
// count.
func wanted(train, val []string) map[string]bool {
	return map[string]bool{trainSplit: len(train) == 0, valSplit: len(val) == 0, otherSplit: true}
}

// restIsTrain tells whether what no word and no pattern names is train: where nothing else is, and
// val is asked for or nothing is named at all.
func restIsTrain(known map[string]bool, val []string) bool {
	return !known[trainSplit] && (len(val) > 0 || !known[valSplit] && !known[otherSplit])
}

// passedOver says why what has this split is. The pattern would take it as val, unless val is held
// out of train.
func passedOver(split, pattern string, heldOut bool) error {
	switch split {
	case "":
		return errors.New("no word of its path names a split: -val or -train PATTERN takes it")
	case unlisted:
		return errors.New("it is in none of the lists of shards: -val or -train PATTERN takes it")
	}
	if heldOut {
		return errors.New("another split, which is passed over, because -val-share holds val out of train")
	}
	return fmt.Errorf("another split, which is passed over: -val %s takes it as val", pattern)
}

func twoUnits(split, a, b string) error {
	return unfit("both %s and %s are split %s by their names: say which one is with -%s PATTERN", a, b, split, split)
}

// locate finds the split of a folder: what a pattern says, else the outermost word.
func (s *treeSource) locate(f *folder) *located {
	l := &located{folder: f, rest: f.parts}
	if len(l.rest) > 0 && l.rest[0].archive && pathOf(l.rest[:1]) == filepath.Base(s.root) { // the source itself
		l.rest = l.rest[1:]
	}
	o := s.options
	for i, last := range f.parts {
		at := pathOf(f.parts[:i+1])
		split, _ := splitOf(last.name)
		word := false
		switch {
		case matchesHere(o.Val, at):
			split = valSplit
		case matchesHere(o.Train, at):
			split = trainSplit
		case split == "":
			continue
		case wanted(o.Train, o.Val)[split]:
			word = true
		case slices.ContainsFunc(slices.Concat(o.Train, o.Val), func(pattern string) bool { return strings.HasPrefix(path.Clean(pattern), at+"/") }):
			continue // a pattern names what lies deeper
		default:
			split = otherSplit
		}
		l.split, l.unit, l.last, l.word, l.rest = split, at, last, word, f.parts[i+1:]
		return l
	}
	return l
}

// settleUnits decides what happens to what has no split by its name, and to archives beside a
// folder of their split. It refuses two folders for one split.
func (s *treeSource) settleUnits(images []*located, shards bool) ([]*located, error) {
	known, folders := map[string]bool{}, map[string]bool{}
	for _, l := range images {
		if len(l.members) > 0 {
			known[l.split] = true
			folders[l.split] = folders[l.split] || !l.last.archive && l.split != ""
		}
	}
	rest := !shards && restIsTrain(known, s.options.Val)
	var kept []*located
	first := map[string]*located{}
	for _, l := range images {
		n := len(l.members)
		switch {
		case l.split == "" && rest:
			l.split = trainSplit
		case n == 0 && !(l.disk && l.split != "" && len(l.rest) == 1): // an empty class is told
			continue
		case l.split == "":
			first, _, _ := strings.Cut(pathOf(l.parts)+"/", "/")
			s.pass(otherSplit, path.Join(first, "."), passedOver("", "", s.options.HoldOut), n)
			continue
		case l.split == otherSplit:
			s.pass(otherSplit, l.unit, passedOver(otherSplit, l.last.name, s.options.HoldOut), n)
			continue
		case l.last.archive && folders[l.split]:
			s.pass(l.split, l.unit, errors.New("an archive beside the folder of its split"), n)
			continue
		}
		kept = append(kept, l)
		if f := first[l.split]; f == nil && l.word && n > 0 {
			first[l.split] = l
		} else if l.word && n > 0 && f.likeness() != l.likeness() {
			return nil, twoUnits(l.split, f.unit, l.unit)
		}
	}
	return kept, nil
}

// pass leaves many images out at once.
func (s *treeSource) pass(split, name string, why error, images int) {
	same := func(q Reject) bool { return q.Images > 0 && q.Split == split && q.Name == name }
	if i := slices.IndexFunc(s.listing.Rejects, same); i >= 0 {
		s.listing.Rejects[i].Images += images
	} else if images > 0 {
		s.listing.Rejects = append(s.listing.Rejects, Reject{Split: split, Name: name, Images: images, Err: why})
	}
}

var year = regexp.MustCompile(`(19|20)[0-9]{2}`)

// likeness is what parts of one split have in common: its letters and its years, for train.X1 and
// train.X2.
func (l *located) likeness() string {
	return path.Dir(l.unit) + "/" + letters(l.last.name) + strings.Join(year.FindAllString(l.last.name, -1), " ")
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

// splitOfPath gives the split that the words of a path name, which must agree, and what paths of
// this split have in common.
func splitOfPath(name string) (split, like string, err error) {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		of, word := splitOf(stem(part))
		switch {
		case of == "" || of == split:
			continue
		case split != "":
			return "", "", unfit("the name of %s has words of two splits: say which are which with -train PATTERN and -val PATTERN", name)
		}
		if split = of; i < len(parts)-1 {
			word = part
		}
		like = letters(path.Join(append(parts[:i:i], word)...))
	}
	return split, like, nil
}

// unlisted is in the place of the split of a shard that another tool's lists do not name.
const unlisted = "unlisted"

// splitShards gives the split of each file of samples: what a pattern says, else another tool's
// list, else the words of its path. The listed ones come first, in the order of the lists. It looks
// at the numbers of their names as well.
func splitShards(there []string, listed []statedShard, train, val []string) (all []statedShard, gaps []string, err error) {
	all = slices.Clone(listed)
	inList := map[string]bool{}
	for _, shard := range listed {
		if inList[shard.name] = true; !slices.Contains(there, shard.name) {
			return nil, nil, corrupt("the shard %s is listed but not there: %w", shard.name, storage.ErrNotFound)
		}
	}
	for _, name := range there {
		if !inList[name] {
			all = append(all, statedShard{name: name})
		}
	}
	likes, known, wanted := map[string]string{}, map[string]bool{}, wanted(train, val)
	for i := range all {
		shard := &all[i]
		switch {
		case matches(val, shard.name):
			shard.split = valSplit
		case matches(train, shard.name):
			shard.split = trainSplit
		case len(listed) > 0 && !inList[shard.name]:
			shard.split = unlisted
		default:
			if len(listed) == 0 {
				like := ""
				if shard.split, like, err = splitOfPath(shard.name); err != nil {
					return nil, nil, err
				}
				if first, ok := likes[shard.split]; ok && first != like && shard.split != otherSplit && wanted[shard.split] {
					return nil, nil, twoUnits(shard.split, strings.TrimPrefix(first, "/"), strings.TrimPrefix(like, "/"))
				}
				likes[shard.split] = like
			}
			if shard.split != "" && !wanted[shard.split] {
				shard.split = otherSplit
			}
		}
		known[shard.split] = true
	}
	var names []string // of rows
	for i := range all {
		if all[i].split == "" && len(listed) == 0 && restIsTrain(known, val) {
			all[i].split = trainSplit
		}
		if all[i].split != unlisted {
			names = append(names, all[i].name)
		}
	}
	gaps, err = checkRows(names)
	return all, gaps, err
}

var (
	numberedOf   = regexp.MustCompile(`^(.*?)([0-9]+)-of-([0-9]+)`)
	lastOfDigits = regexp.MustCompile(`^(.*?)([0-9]+)([^0-9]*)$`)
)

// checkRows looks at rows of numbered files. A row that states its length, as x-00000-of-00002,
// must be whole, and have each number once. In other rows gaps are the numbers between the first
// and the last that are not there.
func checkRows(names []string) (gaps []string, err error) {
	type row struct {
		before, after string
		length        int // as stated; -1: it is not
	}
	rows, width := map[row]map[int]int{}, map[row]int{} // how often each number comes; digits of the longest
	for _, name := range names {
		r, digits := row{}, ""
		if m := numberedOf.FindStringSubmatch(name); m != nil {
			length, _ := strconv.Atoi(m[3])
			r, digits = row{m[1], "-of-" + m[3], min(length, largestNumber)}, m[2]
		} else if m := lastOfDigits.FindStringSubmatch(name); m != nil {
			r, digits = row{m[1], m[3], -1}, m[2]
		}
		if n, err := strconv.Atoi(digits); err == nil {
			if rows[r] == nil {
				rows[r] = map[int]int{}
			}
			rows[r][n]++
			width[r] = max(width[r], len(digits))
		}
	}
	var lost, twice []string
	for r, times := range rows {
		name := func(n int) string { return fmt.Sprintf("%s%0*d%s", r.before, width[r], n, r.after) }
		numbers := slices.Sorted(maps.Keys(times))
		first, last, missing := numbers[0], numbers[len(numbers)-1], &gaps
		switch {
		case r.length < 0 && last-first >= 2*len(numbers):
			continue // not a row, but numbers of another kind
		case r.length >= 0:
			if len(numbers) < r.length {
				first = 0
			}
			last, missing = first+r.length-1, &lost
		}
		for n := first; n <= last; n++ {
			if times[n] == 0 {
				*missing = append(*missing, name(n))
			} else if times[n] > 1 && r.length >= 0 {
				twice = append(twice, name(n))
			}
		}
	}
	slices.Sort(lost)
	slices.Sort(gaps)
	slices.Sort(twice)
	switch {
	case len(lost) > 0:
		return nil, unfit("of a numbered row of files %s is not there: download it", shards.Abbreviate(lost))
	case len(twice) > 0:
		return nil, unfit("in a numbered row of files one number comes twice: %s", shards.Abbreviate(twice))
	case len(gaps) > 0:
		gaps = []string{"numbers are missing in the row of files: " + shards.Abbreviate(gaps)}
	}
	return gaps, nil
}

// heldOutOf is the number held out of n images of one class: the nearest whole one, but at least
// one, and one stays.
func heldOutOf(n int, share float64) int {
	return min(max(int(math.Round(share*float64(n))), 1), n-1)
}

// holdOut moves the chosen items from train to val: of each class those whose SHA-256(seed, class,
// name) is smallest, so that the order in which a source is read plays no part. labels are those of
// the items; the whole listing is known by then, so that the counts of the classes are exact.
func holdOut(h shards.HeldOut, items []Item, classes []string, labels []int32) error {
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
		sortByHash(of, items, h.Seed, "held out\x00"+class)
		for _, i := range of[:heldOutOf(len(of), h.Share)] {
			items[i].Split = valSplit
		}
	}
	return nil
}
