package input

import (
	"context"
	"fmt"
	"slices"
	"testing"
)

// named is a source whose samples tell where they lie.
type named [][]int32 // labels by shard

func (n named) Samples() (counts []int) {
	for _, of := range n {
		counts = append(counts, len(of))
	}
	return counts
}

func (named) Ahead([]int) {}

func (n named) View(_ context.Context, shard, sample int, f func(string, int, []byte) error) error {
	return f(fmt.Sprintf("%d/%d", shard, sample), int(n[shard][sample]), nil)
}

// TestShareIsBalancedAndNested: a share has the same number of every class, other samples for
// another seed, all samples of a smaller share, and its numbers lead to the source's and back.
func TestShareIsBalancedAndNested(t *testing.T) {
	var labels [][]int32
	for shard := range 7 {
		var of []int32
		for i := range 30 {
			of = append(of, int32((shard*31+i*i)%4))
		}
		labels = append(labels, of)
	}
	labels = append(labels, []int32{4, 4, 4}) // a class that has fewer than the share asks for
	total := 213
	keys := func(share float64, seed uint64) map[string]int {
		s := NewShare(named(labels), labels, 5, share, seed)
		found, number := map[string]int{}, 0
		for shard, n := range s.Samples() {
			for sample := range n {
				err := s.View(t.Context(), shard, sample, func(key string, label int, _ []byte) error {
					found[key] = label
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				outside := s.Outside([]int{number})
				if back := s.Inside(outside); len(back) != 1 || back[0] != number {
					t.Errorf("sample %d is %v of the source and comes back as %v", number, outside, back)
				}
				number++
			}
		}
		return found
	}
	small, large, other := keys(0.1, 3), keys(0.3, 3), keys(0.1, 4)
	for share, found := range map[float64]map[string]int{0.1: small, 0.3: large} {
		var counts [5]int
		for _, label := range found {
			counts[label]++
		}
		n := map[float64]int{0.1: 4, 0.3: 13}[share]
		if counts[0]+counts[1]+counts[2]+counts[3] > 4*n || slices.Max(counts[:4]) != n || counts[4] != 3 {
			t.Errorf("a share of %g has %v of the classes, want %d of each and 3 of the last", share, counts, n)
		}
	}
	same := 0
	for key := range small {
		if _, ok := large[key]; !ok {
			t.Errorf("%s is in a tenth and not in three tenths", key)
		}
		if _, ok := other[key]; ok {
			same++
		}
	}
	if same == len(small) {
		t.Error("two seeds chose the same samples")
	}
	if all := keys(1, 3); len(all) > total || len(all) < 3*43 {
		t.Errorf("the whole is %d samples", len(all))
	}
}
