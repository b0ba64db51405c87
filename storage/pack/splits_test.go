package pack

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/shards"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// heldOut holds val out of classes of the given sizes, listed in order or backwards, and gives the
// names of val by class.
func heldOut(t *testing.T, h shards.HeldOut, backwards bool, sizes ...int) map[int32][]string {
	t.Helper()
	var items []Item
	var labels []int32
	var classes []string
	for class, size := range sizes {
		classes = append(classes, fmt.Sprint("class ", class))
		for i := range size {
			items = append(items, Item{Split: trainSplit, Name: fmt.Sprint(i)})
			labels = append(labels, int32(class))
		}
	}
	if backwards {
		slices.Reverse(items)
		slices.Reverse(labels)
	}
	if err := holdOut(h, items, classes, labels); err != nil {
		t.Fatal(err)
	}
	val := map[int32][]string{}
	for i, item := range items {
		if item.Split == valSplit {
			val[labels[i]] = append(val[labels[i]], item.Name)
		}
	}
	for _, names := range val {
		slices.Sort(names)
	}
	return val
}

func TestTheSameShareOfEveryClassIsHeldOut(t *testing.T) {
	sizes := []int{1, 2, 10, 15, 14, 1000}
	val := heldOut(t, shards.HeldOut{Share: 0.1}, false, sizes...)
	for class, want := range []int{0, 1, 1, 2, 1, 100} {
		if got := len(val[int32(class)]); got != want {
			t.Errorf("%d of %d images are held out, want %d", got, sizes[class], want)
		}
	}
	if got := len(heldOut(t, shards.HeldOut{Share: 0.99}, false, 3)[0]); got != 2 {
		t.Errorf("0.99 of 3 images are %d: one has to stay", got)
	}
	other := heldOut(t, shards.HeldOut{Share: 0.1}, true, sizes...)
	if !maps.EqualFunc(val, other, slices.Equal) {
		t.Error("another order of the listing chooses other images")
	}
	other = heldOut(t, shards.HeldOut{Share: 0.1, Seed: 1}, false, sizes...)
	if slices.Equal(val[5], other[5]) {
		t.Error("another seed chooses the same images")
	}
	other = heldOut(t, shards.HeldOut{Share: 0.2}, false, sizes...)
	if slices.ContainsFunc(val[5], func(name string) bool { return !slices.Contains(other[5], name) }) {
		t.Error("a larger share does not hold the smaller one")
	}
	if slices.Equal(val[5], heldOut(t, shards.HeldOut{Share: 0.1}, false, 1000)[0]) {
		t.Error("two classes with the same names lose the same images")
	}
}

func TestHeldOutIsNoted(t *testing.T) {
	images, labels := idxFiles(40, 5, 4, 3)
	src, err := FromIDX(nil, IDX{Split: trainSplit, Images: bytes.NewReader(images), Labels: bytes.NewReader(labels)})
	if err != nil {
		t.Fatal(err)
	}
	b := storagetest.Open(t, "mem://", storage.Options{})
	ix, _ := mustPack(t, src, b, "d", PackOptions{HoldOut: &shards.HeldOut{Share: 0.25, Seed: 9}, Labels: Labels{Splits: []string{trainSplit, valSplit}}})
	if ix.Counts[trainSplit] != 30 || ix.Counts[valSplit] != 10 {
		t.Errorf("counts %v, want 30 and 10", ix.Counts)
	}
	data, err := shards.OpenDataset(t.Context(), b, "d")
	if err != nil {
		t.Fatal(err)
	}
	notes, err := data.Notes(t.Context())
	if err != nil || notes.HeldOut == nil || *notes.HeldOut != (shards.HeldOut{Share: 0.25, Seed: 9}) {
		t.Errorf("notes %+v, %v", notes, err)
	}
}

func TestHoldOutRefusesASourceWithVal(t *testing.T) {
	_, _, err := Pack(t.Context(), idxSourceOf(t, 40), storagetest.Open(t, "mem://", storage.Options{}), "d", PackOptions{HoldOut: &shards.HeldOut{Share: 0.25}})
	if !errors.Is(err, storage.ErrUnfit) {
		t.Errorf("error %v", err)
	}
}
