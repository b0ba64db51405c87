package pack

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cijepa/cijepa/storage/classlist"
	"github.com/cijepa/cijepa/storage/shards"
)

// Labels say which classes a data set gets.
type Labels struct {
	// Classes picks the classes and sets their label order. Empty means all of the source's, in its
	// own order, or sorted by name where it has none. Where the labels are numbers without names,
	// the list renames them, and must have a name for each.
	Classes []string
	// Names are the names of the class numbers of the source, in their order; Classes then picks
	// among them.
	Names []string
	// AllowUnlabelled is how many samples may lack a label. They are left out, as those that are
	// marked as unlabelled always are.
	AllowUnlabelled int
	// Unlabelled packs all images without labels, for pretraining alone. Labels that the source has
	// are dropped, and a warning says so.
	Unlabelled bool
	// Splits are the splits that must have images.
	Splits []string
}

// settled is what Labels make of a listing.
type settled struct {
	classes  []string
	labels   []int32 // by item; notChosen for an item that is left out
	rejects  []Reject
	warnings []string
}

// notChosen is the place of a label for an item that is not packed.
const notChosen = shards.NoLabel - 1

// settle decides, before anything is copied, which item has which label. It refuses what no run
// could use: a split without images, classes of val that train has not, samples without a label.
// The items get the names of their classes, and those that are held out get the split val.
func (l Labels) settle(listing Listing, held HoldOut) (settled, error) {
	items := listing.Items
	s := settled{labels: make([]int32, len(items))}
	if l.Unlabelled {
		err := l.dropLabels(&s, listing, held)
		return s, err
	}
	if err := s.leaveOutUnlabelled(items, l.AllowUnlabelled); err != nil {
		return s, err
	}
	classes, err := l.nameClasses(items, listing.Classes, listing.Numbered, func(warning string) { s.warnings = append(s.warnings, warning) })
	if err != nil {
		return s, err
	}
	s.classes = classes
	places := make(map[string]int32, len(classes))
	for i, class := range classes {
		if err := className(class); err != nil {
			return s, unfit("%w", err)
		}
		places[class] = int32(i)
	}
	left := map[string]int{}
	for i := range items {
		item := &items[i]
		if s.labels[i] == notChosen {
			continue
		}
		place, ok := places[item.Class]
		if !ok {
			left[item.Class]++
			place = notChosen
		}
		s.labels[i] = place
	}
	if err := held.apply(items, classes, s.labels); err != nil {
		return s, err
	}
	counts := s.count(items)
	if len(left) > 0 {
		sum := 0
		for _, n := range left {
			sum += n
		}
		s.warnings = append(s.warnings, fmt.Sprintf("%d classes of the source, with %d images, are not in "+
			"the class list: %s", len(left), sum, shards.Abbreviate(sortedKeys(left))))
	}
	return s, l.refuse(counts, append(s.rejects, listing.Rejects...))
}

// count counts the images to pack by split and class.
func (s *settled) count(items []Item) map[string]map[string]int {
	counts := map[string]map[string]int{}
	for i := range items {
		if s.labels[i] == notChosen {
			continue
		}
		if counts[items[i].Split] == nil {
			counts[items[i].Split] = map[string]int{}
		}
		counts[items[i].Split][items[i].Class]++
	}
	return counts
}

// dropLabels settles images without labels.
func (l Labels) dropLabels(s *settled, listing Listing, held HoldOut) error {
	s.classes = []string{}
	dropped, images := map[string]bool{}, 0
	for i := range listing.Items {
		item := &listing.Items[i]
		s.labels[i] = shards.NoLabel
		if item.Class != "" {
			dropped[item.Class] = true
			images++
		}
		item.Class = ""
	}
	if images > 0 {
		s.warnings = append(s.warnings, fmt.Sprintf("the labels of %d images in %d classes are dropped: %s",
			images, len(dropped), shards.Abbreviate(sortedKeys(dropped))))
	}
	if err := held.apply(listing.Items, nil, s.labels); err != nil {
		return err
	}
	return l.refuse(s.count(listing.Items), listing.Rejects)
}

// leaveOutUnlabelled marks the items without a label, which are rejects.
func (s *settled) leaveOutUnlabelled(items []Item, allowed int) error {
	missing, first := 0, -1
	for i := range items {
		item := &items[i]
		if item.Class != "" && item.Unlabelled == nil {
			continue
		}
		s.labels[i] = notChosen
		reason := item.Unlabelled
		switch {
		case reason == nil:
			reason = errors.New("its label is negative or null: it has none")
		case !errors.Is(reason, errNoLabel):
			return unfit("%s of split %s: %w", item.Name, item.Split, reason)
		default:
			if missing++; first < 0 {
				first = i
			}
		}
		s.rejects = append(s.rejects, Reject{Split: item.Split, Name: item.Name, Err: reason})
	}
	if missing == len(items) && missing > 0 {
		what := "none has a label"
		if errors.Is(items[first].Unlabelled, errNoFolder) {
			what = "not in class folders"
		}
		return unfit("%d images, but %s, such as %s: %w; -unlabelled packs them without labels, for pretraining alone",
			missing, what, items[first].Name, items[first].Unlabelled)
	}
	if missing > allowed {
		item := &items[first]
		return unfit("%d samples have no label, such as %s of split %s: %w; -allow-unlabelled %d leaves them out",
			missing, item.Name, item.Split, item.Unlabelled, missing)
	}
	return nil
}

// nameClasses gives the classes in label order and renames those of the items as far as the lists
// say.
func (l Labels) nameClasses(items []Item, own []string, numbered bool, warn func(string)) ([]string, error) {
	images := map[string]int{}
	numbers, last := numbered, -1
	for i := range items {
		class := items[i].Class
		if class == "" {
			continue
		}
		if images[class]++; images[class] == 1 && numbers {
			n, err := strconv.Atoi(class)
			numbers, last = isNumber(class) && err == nil, max(last, n)
		}
	}
	if some := slices.IndexFunc(items, func(item Item) bool { return isNumber(item.Class) }); numbered && !numbers && some >= 0 && own == nil {
		warn(fmt.Sprintf("the labels are numbers in part, such as %s of %s, and names in part",
			items[some].Class, items[some].Name))
	}
	switch {
	case len(l.Names) > 0 && !numbers:
		return nil, unfit("-names gives names to class numbers, but the labels of the source are not all numbers, such as %s", someOf(sortedKeys(images)))
	case len(l.Names) > 0:
		if err := rename(items, images, l.Names); err != nil {
			return nil, err
		}
		own, numbers = l.Names, false
	case numbers && len(l.Classes) > 0 && !containsAll(images, l.Classes):
		if name := classlist.Recognise(l.Classes); name != "" || last >= len(l.Classes) {
			return nil, unfit("the labels of the source are the numbers up to %d, and only the names of all of them, in their order, tell which classes the %d listed "+
				"ones are: give them with -names FILE (-names imagenet-1k for the 1,000 synsets in sorted order)", last, len(l.Classes))
		}
		return l.Classes, rename(items, images, l.Classes)
	case numbers && len(l.Classes) == 0:
		classes := []string{}
		for n := range last + 1 {
			classes = append(classes, strconv.Itoa(n))
		}
		return classes, nil
	}
	if len(l.Classes) == 0 {
		if own != nil {
			return own, nil
		}
		return append([]string{}, sortedKeys(images)...), nil
	}
	if !slices.ContainsFunc(l.Classes, func(class string) bool { return images[class] > 0 }) {
		renamed, err := classesOfFiles(items, l.Classes)
		if err != nil {
			return nil, err
		}
		images = renamed
	}
	for _, class := range l.Classes {
		if images[class] == 0 {
			return nil, unfit("class %q is listed, but the source has no image of it; it has %s", class, someOf(sortedKeys(images)))
		}
	}
	return l.Classes, nil
}

// containsAll tells whether all names are among the classes.
func containsAll(images map[string]int, names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return images[name] == 0 })
}

// rename gives names to class numbers.
func rename(items []Item, images map[string]int, names []string) error {
	counts := maps.Clone(images)
	clear(images)
	for i := range items {
		class := &items[i].Class
		if *class == "" {
			continue
		}
		n, err := strconv.Atoi(*class)
		if err != nil || n >= len(names) {
			return unfit("%s has the label %s, and there are %d names", items[i].Name, *class, len(names))
		}
		images[names[n]] = counts[*class]
		*class = names[n]
	}
	return nil
}

// classesOfFiles takes the class of each image from the name of its file, one of whose parts
// between underscores is a listed class, as in n01440764_10026.JPEG. All images with one label must
// have one class.
func classesOfFiles(items []Item, classes []string) (map[string]int, error) {
	listed := map[string]bool{}
	for _, class := range classes {
		listed[class] = true
	}
	class, of := map[string]string{}, map[string]string{} // by label, and the other way round
	for i := range items {
		label := items[i].Class
		if label == "" {
			continue
		}
		base := items[i].File
		for part := range strings.SplitSeq(strings.TrimSuffix(base, path.Ext(base)), "_") {
			if !listed[part] {
				continue
			}
			if cmp.Or(class[label], part) != part || cmp.Or(of[part], label) != label {
				return nil, unfit("the class list names none of the source's classes, and by the names of the files label %q is both %s and %s",
					label, class[label], part)
			}
			class[label], of[part] = part, label
		}
	}
	images := map[string]int{}
	for i := range items {
		if to := class[items[i].Class]; to != "" {
			items[i].Class = to
		}
		if items[i].Class != "" {
			images[items[i].Class]++
		}
	}
	return images, nil
}

// refuse says what no run could use, and by which option what is there could be used.
func (l Labels) refuse(counts map[string]map[string]int, rejects []Reject) error {
	for _, split := range l.Splits {
		if len(counts[split]) > 0 {
			continue
		}
		what := ""
		if len(l.Classes) > 0 {
			what = " of a listed class"
		}
		for _, other := range sortedKeys(counts) {
			images := 0
			for _, n := range counts[other] {
				images += n
			}
			what += fmt.Sprintf("; split %s has %d", other, images)
		}
		if i := slices.IndexFunc(rejects, func(r Reject) bool { return r.Split == split || r.Images > 0 }); i >= 0 {
			what += fmt.Sprintf("; left out is %s", rejects[i])
		}
		remedy := "-val PATTERN and -train PATTERN say which folders or files are which"
		if split == valSplit {
			remedy += ", pack -val-share 0.1 holds a part of train out, and -unlabelled packs images without classes"
		}
		return unfit("split %s has no image%s: expected %s; %s", split, what, layout, remedy)
	}
	var strange []string
	for _, class := range sortedKeys(counts[valSplit]) {
		if counts[trainSplit][class] == 0 && len(counts[trainSplit]) > 0 {
			strange = append(strange, strconv.Quote(class))
		}
	}
	if len(strange) > 0 {
		return unfit("%d of %d classes of split val have no image in split train: %s, beside train's %s; rename them, or pick classes with -classes",
			len(strange), len(counts[valSplit]), someOf(strange), someOf(sortedKeys(counts[trainSplit])))
	}
	return nil
}
