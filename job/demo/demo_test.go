package demo

import (
	"slices"
	"testing"

	"github.com/cijepa/cijepa/storage/shards"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// TestPackedDataIsCompleteBalancedAndReproducible: all images of all classes in about equal
// numbers, and a second packing gives the same data set.
func TestPackedDataIsCompleteBalancedAndReproducible(t *testing.T) {
	bucket := storagetest.Memory(t)
	var prints []string
	for range 2 {
		if err := Pack(t.Context(), bucket, "fm"); err != nil {
			t.Fatal(err)
		}
		d, err := shards.OpenDataset(t.Context(), bucket, "fm")
		if err != nil {
			t.Fatal(err)
		}
		prints = append(prints, d.Fingerprint())
		counts, train := d.Index.Counts, d.Index.Splits["train"]
		if counts["train"] != 7000 || counts["val"] != 1500 || len(train) != 14 || !slices.Equal(d.Index.Classes, classes) {
			t.Errorf("packed %v in %d shards, classes %v", counts, len(train), d.Index.Classes)
		}
		each := make([]int, len(classes))
		for _, shard := range d.Index.Splits["val"] {
			for _, label := range shard.Samples.Labels {
				each[label]++
			}
		}
		if slices.Min(each) < 130 || slices.Max(each) > 180 {
			t.Errorf("validation images by class: %v", each)
		}
	}
	if prints[0] != prints[1] {
		t.Errorf("two packings differ: %v", prints)
	}
	if licence, err := bucket.Get(t.Context(), "fm/LICENSE"); err != nil || len(licence) < 1000 {
		t.Errorf("the licence is not with the data: %d bytes, %v", len(licence), err)
	}
}
