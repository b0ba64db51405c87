package shards

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testIndex() Index {
	sum := strings.Repeat("0123456789abcdef", 4)
	shard := func(name string) Shard {
		return Shard{Name: name, Size: 4096, SHA256: sum, Samples: Samples{
			Keys: []string{"00000000", "00000001"}, Offsets: []int64{512, 2048}, Lengths: []int64{100, 2048},
			Labels: []int32{1, NoLabel}}}
	}
	return Index{
		Version: IndexVersion,
		Classes: []string{"n01558993", "n01692333"},
		Counts:  map[string]int{"train": 4, "val": 2},
		Splits: map[string][]Shard{
			"train": {shard("train-000000.tar"), shard("train-000001.tar")},
			"val":   {shard("val-000000.tar")},
		},
	}
}

// An index that is parsed and encoded again has the same bytes.
func TestIndexIsReadAsItWasWritten(t *testing.T) {
	want := testIndex()
	data, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseIndex(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	again, err := got.Encode()
	if err != nil || !slices.Equal(data, again) {
		t.Errorf("a second encoding differs (%v)", err)
	}
}

// The index of ImageNet-100, which every start reads whole, stays below 5 MB.
func TestIndexStaysSmall(t *testing.T) {
	const samples, perShard = 131_689, 1000
	ix := Index{Version: IndexVersion, Splits: map[string][]Shard{}, Counts: map[string]int{"train": samples}}
	for i := range 100 {
		ix.Classes = append(ix.Classes, fmt.Sprintf("n%08d", i))
	}
	for first := 0; first < samples; first += perShard {
		shard := Shard{Name: fmt.Sprintf("train-%06d.tar", first/perShard), SHA256: strings.Repeat("0123456789abcdef", 4)}
		for i := first; i < min(first+perShard, samples); i++ {
			shard.Samples.Add(fmt.Sprintf("%08d", i), shard.Size+512, 110_000, int32(i%100))
			shard.Size += 112_640
		}
		ix.Splits["train"] = append(ix.Splits["train"], shard)
	}
	data, err := ix.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseIndex(data); err != nil {
		t.Fatal(err)
	}
	if len(data) > 5e6 {
		t.Errorf("%d bytes", len(data))
	}
	t.Logf("%d bytes", len(data))
}

// Each row is one contradiction in an index.
func TestContradictionsInAnIndexAreFound(t *testing.T) {
	first := func(ix *Index) *Shard { return &ix.Splits["train"][0] }
	for _, test := range []struct {
		want  string // in the message
		spoil func(ix *Index)
	}{
		{"version 2", func(ix *Index) { ix.Version = 2 }},
		{"named twice", func(ix *Index) { ix.Classes[1] = ix.Classes[0] }},
		{"class \"\" is empty", func(ix *Index) { ix.Classes[0] = "" }},
		{"no split", func(ix *Index) { ix.Splits, ix.Counts = nil, nil }},
		{"its count says 5", func(ix *Index) { ix.Counts["train"] = 5 }},
		{"counts of 1 splits", func(ix *Index) { delete(ix.Counts, "val") }},
		{"has no samples", func(ix *Index) { ix.Splits["val"], ix.Counts["val"] = nil, 0 }},
		{"named twice", func(ix *Index) { first(ix).Name = "val-000000.tar" }},
		{"not a plain relative path", func(ix *Index) { first(ix).Name = "../train.tar" }},
		{"not a plain relative path", func(ix *Index) { first(ix).Name = "/etc/train.tar" }},
		{"not a plain relative path", func(ix *Index) { first(ix).Name = "a//b.tar" }},
		{"not a plain relative path", func(ix *Index) { first(ix).Name = ".." }},
		{"hexadecimal", func(ix *Index) { first(ix).SHA256 = strings.ToUpper(first(ix).SHA256) }},
		{"hexadecimal", func(ix *Index) { first(ix).SHA256 = "../../../etc" }},
		{"no samples", func(ix *Index) { first(ix).Samples = Samples{} }},
		{"columns of 2, 1, 2 and 2", func(ix *Index) { first(ix).Samples.Offsets = []int64{512} }},
		{"lies at -1+", func(ix *Index) { first(ix).Samples.Offsets = []int64{-1, 0} }},
		{"lies at 2049+2048", func(ix *Index) { first(ix).Samples.Offsets = []int64{0, 2049} }},
		{"lies at 512+0", func(ix *Index) { first(ix).Samples.Lengths = []int64{0, 1} }},
		{"lies at 512+9223372036854775807", func(ix *Index) { first(ix).Samples.Lengths = []int64{1<<63 - 1, 1} }},
		{"label 2 of 2", func(ix *Index) { first(ix).Samples.Labels = []int32{2, 0} }},
		{"label -2", func(ix *Index) { first(ix).Samples.Labels = []int32{0, -2} }},
	} {
		ix := testIndex()
		test.spoil(&ix)
		if err := ix.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
}

// An index that parses needs no further check to cut samples out of its shards.
func FuzzParseIndex(f *testing.F) {
	whole, err := testIndex().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte(`{"version":1,"splits":{"train":[{}]},"counts":{"train":0}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		ix, err := ParseIndex(data)
		if err != nil {
			return
		}
		// Whatever passes can be used without a check.
		for _, shards := range ix.Splits {
			for _, shard := range shards {
				for i := range shard.Samples.Keys {
					end := shard.Samples.Offsets[i] + shard.Samples.Lengths[i]
					if shard.Samples.Offsets[i] < 0 || end > shard.Size || int(shard.Samples.Labels[i]) >= len(ix.Classes) {
						t.Fatalf("sample %d of %+v", i, shard)
					}
				}
			}
		}
		encoded, err := ix.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseIndex(encoded); err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
	})
}

// An index with more classes than a probe can have is invalid.
func TestIndexWithTwoMillionClassesIsInvalid(t *testing.T) {
	ix := Index{Version: IndexVersion, Classes: make([]string, 2_000_000)}
	for i := range ix.Classes {
		ix.Classes[i] = strconv.Itoa(i)
	}
	data, err := ix.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseIndex(data); err == nil || !strings.Contains(err.Error(), "2000000 classes are more than") {
		t.Errorf("%v", err)
	}
}
