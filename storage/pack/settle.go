package pack

import (
	"cmp"
	"errors"
	"fmt"
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
func (l Labels) settle(listing Listing, held *shards.HeldOut) (s settled, err error) {
	items := listing.Items
	s.labels = make([]int32, len(items))
	if l.Unlabelled {
		s.dropLabels(items)
	} else if err = s.label(l, listing); err != nil {
		return s, err
	}
	if held != nil {
		if err = holdOut(*held, items, s.classes, s.labels); err != nil {
			return s, err
		}
	}
	counts := map[string]map[string]int{} // by split and class
	for i, item := range items {
		if s.labels[i] == notChosen {
			continue
		}
		if counts[item.Split] == nil {
			counts[item.Split] = map[string]int{}
		}
		counts[item.Split][item.Class]++
	}
	return s, l.refuse(counts, append(s.rejects, listing.Rejects...))
}

// label gives each item its place among the classes.
func (s *settled) label(l Labels, listing Listing) error {
	items := listing.Items
	if err := s.leaveOutUnlabelled(items, l.AllowUnlabelled); err != nil {
		return err
	}
	if err := s.nameClasses(l, listing); err != nil {
		return err
	}
	places := make(map[string]int32, len(s.classes))
	for i, class := range s.classes {
		if err := className(class); err != nil {
			return unfit("%w", err)
		}
		places[class] = int32(i)
	}
	left, images := map[string]bool{}, 0
	for i, item := range items {
		if s.labels[i] == notChosen {
			continue
		}
		place, ok := places[item.Class]
		if !ok {
			place, left[item.Class] = notChosen, true
			images++
		}
		s.labels[i] = place
	}
	if len(left) > 0 {
		s.warnings = append(s.warnings, fmt.Sprintf("%d classes of the source, with %d images, are not in the class list: %s",
			len(left), images, shards.Abbreviate(sortedKeys(left))))
	}
	return nil
}

// dropLabels takes the labels of all items away.
func (s *settled) dropLabels(items []Item) {
	s.classes = []string{}
	dropped, images := map[string]bool{}, 0
	for i := range items {
		if class := items[i].Class; class != "" {
			dropped[class] = true
			images++
		}
		s.labels[i], items[i].Class = shards.NoLabel, ""
	}
	if images > 0 {
		s.warnings = append(s.warnings, fmt.Sprintf("the labels of %d images in %d classes are dropped: %s",
			images, len(dropped), shards.Abbreviate(sortedKeys(dropped))))
	}
}

// leaveOutUnlabelled marks the items without a label, which are rejects.
func (s *settled) leaveOutUnlabelled(items []Item, allowed int) error {
	missing, first := 0, Item{}
	for i, item := range items {
		reason := item.Unlabelled
		switch {
		case item.Class != "" && reason == nil:
			continue
		case reason == nil:
			reason = errors.New("its label is negative or null: it has none")
		case !errors.Is(reason, errNoLabel):
			return unfit("%s of split %s: %w", item.Name, item.Split, reason)
		default:
			if missing++; missing == 1 {
				first = item
			}
		}
		s.labels[i] = notChosen
		s.rejects = append(s.rejects, Reject{Split: item.Split, Name: item.Name, Err: reason})
	}
	what := "none has a label"
	if errors.Is(first.Unlabelled, errNoFolder) {
		what = "not in class folders"
	}
	switch {
	case missing > 0 && missing == len(items):
		return unfit("%d images, but %s, such as %s: %w; -unlabelled packs them without labels, for pretraining alone",
			missing, what, first.Name, first.Unlabelled)
	case missing > allowed:
		return unfit("%d samples have no label, such as %s of split %s: %w; -rejects FILE lists them; -allow-unlabelled %d leaves them out",
			missing, first.Name, first.Split, first.Unlabelled, missing)
	}
	return nil
}

// nameClasses finds the classes in label order and renames those of the items as far as the lists
// say.
func (s *settled) nameClasses(l Labels, listing Listing) (err error) {
	items, own := listing.Items, listing.Classes
	classes := classesOf(items)
	numbers, last := listing.Numbered, -1 // last of the numbers
	for _, class := range classes {
		n, _ := strconv.Atoi(class)
		numbers, last = numbers && isNumber(class), max(last, n)
	}
	missing := func() []string { // listed classes that no item has
		classes := classesOf(items)
		return slices.DeleteFunc(slices.Clone(l.Classes), func(class string) bool { return slices.Contains(classes, class) })
	}
	if some := slices.IndexFunc(items, func(item Item) bool { return isNumber(item.Class) }); listing.Numbered && !numbers && some >= 0 && own == nil {
		s.warnings = append(s.warnings, fmt.Sprintf("the labels are numbers in part, such as %s of %s, and names in part", items[some].Class, items[some].Name))
	}
	switch {
	case len(l.Names) > 0 && !numbers:
		return unfit("-names gives names to class numbers, but the labels of the source are not all numbers, such as %s", shards.Abbreviate(classes))
	case len(l.Names) > 0:
		own, err = l.Names, rename(items, l.Names)
	case numbers && len(missing()) > 0:
		if classlist.Recognise(l.Classes) != "" || last >= len(l.Classes) {
			return unfit("the labels of the source are the numbers up to %d, and only the names of all of them, in their order, tell which classes the %d listed "+
				"ones are: give them with -names FILE (-names imagenet-1k for the 1,000 synsets in sorted order)", last, len(l.Classes))
		}
		s.classes = l.Classes
		return rename(items, l.Classes)
	case numbers && len(l.Classes) == 0:
		own = []string{}
		for n := range last + 1 {
			own = append(own, strconv.Itoa(n))
		}
	}
	if err != nil {
		return err
	}
	if len(l.Classes) == 0 {
		s.classes = own
		if own == nil {
			s.classes = classes
		}
		return nil
	}
	if len(missing()) == len(l.Classes) {
		if err := nameByFiles(items, l.Classes); err != nil {
			return err
		}
	}
	if missing := missing(); len(missing) > 0 {
		return unfit("class %q is listed, but the source has no image of it; it has %s", missing[0], shards.Abbreviate(classesOf(items)))
	}
	s.classes = l.Classes
	return nil
}

// classesOf are the classes of items, sorted.
func classesOf(items []Item) []string {
	images := map[string]bool{}
	for i := range items {
		images[items[i].Class] = true
	}
	delete(images, "")
	return append([]string{}, sortedKeys(images)...)
}

// rename gives names to class numbers.
func rename(items []Item, names []string) error {
	for i := range items {
		class := &items[i].Class
		if *class == "" {
			continue
		}
		n, err := strconv.Atoi(*class)
		if err != nil || n >= len(names) {
			return unfit("%s has the label %s, and there are %d names", items[i].Name, *class, len(names))
		}
		*class = names[n]
	}
	return nil
}

// nameByFiles takes the class of each image from the name of its file, one of whose parts between
// underscores is a listed class, as in n01440764_10026.JPEG. All images with one label must have
// one class.
func nameByFiles(items []Item, listed []string) error {
	isListed := map[string]bool{}
	for _, class := range listed {
		isListed[class] = true
	}
	class, of := map[string]string{}, map[string]string{} // by label, and the other way round
	for _, item := range items {
		label := item.Class
		if label == "" {
			continue
		}
		for part := range strings.SplitSeq(strings.TrimSuffix(item.File, path.Ext(item.File)), "_") {
			if !isListed[part] {
				continue
			}
			if cmp.Or(class[label], part) != part || cmp.Or(of[part], label) != label {
				return unfit("the class list names none of the source's classes, and by the names of the files label %q is both %s and %s",
					label, class[label], part)
			}
			class[label], of[part] = part, label
		}
	}
	for i := range items {
		items[i].Class = cmp.Or(class[items[i].Class], items[i].Class)
	}
	return nil
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
		if i := slices.IndexFunc(rejects, func(r Reject) bool { return r.Split == split || r.Split == "" || r.Images > 0 }); i >= 0 {
			what += fmt.Sprintf("; left out is %s", rejects[i])
		}
		remedy := "-val PATTERN and -train PATTERN say which folders or files are which"
		if split == valSplit {
			remedy += ", pack -val-share 0.1 holds a part of train out, and -unlabelled packs images without classes"
		}
		return unfit("split %s has no image%s; %s; expected is %s", split, what, remedy, layout)
	}
	var strange []string
	for _, class := range sortedKeys(counts[valSplit]) {
		if counts[trainSplit][class] == 0 && len(counts[trainSplit]) > 0 {
			strange = append(strange, strconv.Quote(class))
		}
	}
	if len(strange) > 0 {
		return unfit("%d of %d classes of split val have no image in split train: %s, beside train's %s; rename them, or pick classes with -classes",
			len(strange), len(counts[valSplit]), shards.Abbreviate(strange), shards.Abbreviate(sortedKeys(counts[trainSplit])))
	}
	return nil
}
