package pack

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/shards"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// member is a file of a foreign shard.
type member struct{ name, data string }

func foreignTar(t testing.TB, format tar.Format, members ...member) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, m := range members {
		if err := w.WriteHeader(&tar.Header{Name: m.name, Size: int64(len(m.data)), Mode: 0o644, Format: format}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(m.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// foreignShard has samples first to last-1 with class number i % 3, called by number and by name.
func foreignShard(t testing.TB, first, last int) []byte {
	var members []member
	for i := first; i < last; i++ {
		key := fmt.Sprintf("folder.v1/img_%d", i)
		members = append(members,
			member{key + ".cls", fmt.Sprintf("%d\n", i%3)},
			member{key + ".jpg", fmt.Sprint("image ", i)},
			member{key + ".json", fmt.Sprintf(`{"synset": "n0%d", "label": %d, "w": 9}`, 9-i%3, i%3)})
	}
	return foreignTar(t, tar.FormatPAX, members...)
}

// foreignSet is a bucket with shards of 5 and 4 training and 3 validation samples.
func foreignSet(t *testing.T, more map[string]string) *storage.Bucket {
	b := storagetest.Memory(t)
	storagetest.PutAll(t, b, map[string]string{
		"f/set-train-0000.tar":      string(foreignShard(t, 0, 5)),
		"f/set-train-0001.tar":      string(foreignShard(t, 5, 9)),
		"f/set-validation-0000.tar": string(foreignShard(t, 100, 103)),
		"elsewhere/set-0000.tar":    "not ours",
	})
	storagetest.PutAll(t, b, more)
	return b
}

const (
	infoJSON = `{"splits": {
		"train": {"name": "train", "num_samples": 9, "filenames": ["set-train-0000.tar", "set-train-0001.tar"], "shard_lengths": [5, 4]},
		"validation": {"name": "validation", "num_samples": 3, "filenames": ["set-validation-0000.tar"], "shard_lengths": [3]}}}`
	widsTrain = `{"__kind__": "wids-shard-index-v1", "wids_version": 1, "shardlist": [
		{"url": "https://host/set-train-0000.tar", "nsamples": 5}, {"url": "set-train-0001.tar", "nsamples": 4}]}`
	widsVal = `{"__kind__": "wids-shard-index-v1", "shardlist": [{"url": "set-validation-0000.tar", "nsamples": 3}]}`
)

func TestReindex(t *testing.T) {
	for _, test := range []struct {
		name string
		more map[string]string
	}{
		{"plain names", nil},
		{"timm's list", map[string]string{"f/_info.json": infoJSON}},
		{"webdataset's lists", map[string]string{"f/train.json": widsTrain, "f/val.json": widsVal, "f/classes.json": `["a"]`, "f/note.json": `{"kind": 1}`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := foreignSet(t, test.more)
			var done, total int64
			ix, rejects, err := Reindex(t.Context(), b, "f", ReindexOptions{Checks: Checks{Progress: func(d, n int64) { done, total = d, n }}})
			if err != nil {
				t.Fatal(err)
			}
			if len(rejects) != 0 || done != total || total == 0 {
				t.Errorf("rejects %v, progress %d of %d", rejects, done, total)
			}
			if !slices.Equal(ix.Classes, []string{"0", "1", "2"}) || ix.Counts["train"] != 9 || ix.Counts["val"] != 3 {
				t.Fatalf("classes %v, counts %v", ix.Classes, ix.Counts)
			}
			d, err := shards.OpenDataset(t.Context(), b, "f")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(ix, d.Index); diff != "" {
				t.Error(diff)
			}
			s := openTrainSplit(t, d)
			i := 0
			for shard, n := range s.Samples() {
				for sample := range n {
					if err := s.View(t.Context(), shard, sample, func(key string, label int, image []byte) error {
						if key != fmt.Sprintf("folder.v1/img_%d", i) || label != i%3 || string(image) != fmt.Sprint("image ", i) {
							t.Errorf("sample %d is %s with label %d and %q", i, key, label, image)
						}
						return nil
					}); err != nil {
						t.Fatal(err)
					}
					i++
				}
			}
		})
	}
}

// openTrainSplit is the training split of a dataset, in a cache of its own.
// A shard that is in none of the lists is left out by its name, and taken where a pattern names it.
func TestAShardInNoListIsLeftOutOrAskedFor(t *testing.T) {
	more := map[string]string{"f/_info.json": infoJSON, "f/set-train-0002.tar": string(foreignShard(t, 9, 12))}
	ix, rejects, err := Reindex(t.Context(), foreignSet(t, more), "f", ReindexOptions{})
	if err != nil || ix.Counts["train"] != 9 || len(rejects) != 1 || rejects[0].Name != "set-train-0002.tar" || !strings.Contains(rejects[0].Err.Error(), "none of the lists") {
		t.Errorf("counts %v, rejects %v, error %v", ix.Counts, rejects, err)
	}
	ix, rejects, err = Reindex(t.Context(), foreignSet(t, more), "f", ReindexOptions{Train: []string{"set-train-*"}})
	if err != nil || ix.Counts["train"] != 12 || ix.Counts["val"] != 3 || len(rejects) != 0 {
		t.Errorf("asked for: counts %v, rejects %v, error %v", ix.Counts, rejects, err)
	}
}

func openTrainSplit(t *testing.T, d *shards.Dataset) *shards.Split {
	t.Helper()
	c, err := shards.NewCache(d, t.TempDir(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := c.Split("train")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReindexLabels(t *testing.T) {
	for _, test := range []struct {
		name    string
		options ReindexOptions
		classes []string
		labels  []int32
	}{
		{"numbers with names given", ReindexOptions{Labels: Labels{Classes: []string{"x", "y", "z", "unused"}}}, []string{"x", "y", "z", "unused"}, []int32{0, 1, 2, 0, 1}},
		{"names in .json", ReindexOptions{LabelKey: "synset"}, []string{"n07", "n08", "n09"}, []int32{2, 1, 0, 2, 1}},
		{"names in .json, order given", ReindexOptions{LabelKey: "synset", Labels: Labels{Classes: []string{"n08", "n09", "n07"}}}, []string{"n08", "n09", "n07"}, []int32{1, 0, 2, 1, 0}},
		{"numbers in .json", ReindexOptions{LabelKey: "label"}, []string{"0", "1", "2"}, []int32{0, 1, 2, 0, 1}},
	} {
		ix, _, err := Reindex(t.Context(), foreignSet(t, nil), "f/", test.options)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if !slices.Equal(ix.Classes, test.classes) || !slices.Equal(ix.Splits["train"][0].Samples.Labels, test.labels) {
			t.Errorf("%s: classes %v, labels %v", test.name, ix.Classes, ix.Splits["train"][0].Samples.Labels)
		}
	}
}

func TestReindexOddSamples(t *testing.T) {
	for _, format := range []tar.Format{tar.FormatUSTAR, tar.FormatPAX, tar.FormatGNU} {
		b := storagetest.Memory(t)
		storagetest.PutAll(t, b, map[string]string{"f/a.tar": string(foreignTar(t, format,
			member{"1.PNG", "\xff\xd8\xffone"}, member{"1.cls", "0"},
			member{"2.seg.png", "\xff\xd8\xfftwo"}, // no label
			member{"3.cls", "1"},                   // no image
			member{"dir/4.webp", ""}, member{"dir/4.cls", "1"},
			member{"dir/5.jpeg", "\xff\xd8\xffrefused"}, member{"dir/5.cls", "1"},
			member{"README", "no dot, no sample"},
			member{strings.Repeat("long/", 18) + "6.jpg", "\xff\xd8\xffsix"}, member{strings.Repeat("long/", 18) + "6.cls", "1"},
			member{"7.jpg", "\xff\xd8\xffseven"}, member{"7.depth.png", "of the same sample"}, member{"7.cls", "1"}))})
		refused := errors.New("refused")
		ix, rejects, err := Reindex(t.Context(), b, "f", ReindexOptions{Train: []string{"a.tar"}, Labels: Labels{AllowUnlabelled: 1}, Checks: Checks{Verify: func(image []byte) (int, int, error) {
			if strings.HasSuffix(string(image), "refused") {
				return 0, 0, refused
			}
			return 0, 0, nil
		}}})
		if err != nil {
			t.Fatal(err)
		}
		shard := ix.Splits["train"][0]
		if want := []string{"1", strings.Repeat("long/", 18) + "6", "7"}; !slices.Equal(shard.Samples.Keys, want) {
			t.Errorf("keys %v, want %v", shard.Samples.Keys, want)
		}
		if !slices.Equal(shard.Samples.Labels, []int32{0, 1, 1}) {
			t.Errorf("labels %v", shard.Samples.Labels)
		}
		stored := storagetest.Snapshot(t, b)["f/a.tar"]
		for i, want := range []string{"\xff\xd8\xffone", "\xff\xd8\xffsix", "\xff\xd8\xffseven"} {
			if got := stored[shard.Samples.Offsets[i]:][:shard.Samples.Lengths[i]]; got != want {
				t.Errorf("%v: image %d is %q, want %q", format, i, got, want)
			}
		}
		var names []string
		for _, reject := range rejects {
			names = append(names, reject.Name)
		}
		if !slices.Equal(names, []string{"a.tar/2", "a.tar/3", "a.tar/dir/4", "a.tar/dir/5"}) || !errors.Is(rejects[3].Err, refused) {
			t.Errorf("rejects %v", rejects)
		}
	}
}

func TestReindexErrors(t *testing.T) {
	whole := foreignShard(t, 9, 12)
	cut := string(whole[:len(whole)-endMark]) // between two members
	for _, test := range []struct {
		want    string
		is      error
		options ReindexOptions
		more    map[string]string
	}{
		{"has 5 samples, its list says 6", storage.ErrCorrupt, ReindexOptions{}, map[string]string{"f/_info.json": strings.Replace(infoJSON, "[5, 4]", "[6, 4]", 1)}},
		{"2 file names and 1 lengths", nil, ReindexOptions{}, map[string]string{"f/_info.json": strings.Replace(infoJSON, "[5, 4]", "[9]", 1)}},
		{"listed but not there", storage.ErrNotFound, ReindexOptions{}, map[string]string{"f/_info.json": strings.Replace(infoJSON, "set-train-0001", "set-train-0009", 1)}},
		{"not the JSON", nil, ReindexOptions{}, map[string]string{"f/_info.json": "{"}},
		{"its list says 17", storage.ErrCorrupt, ReindexOptions{}, map[string]string{"f/train.json": strings.Replace(widsTrain, `"nsamples": 4`, `"filesize": 17`, 1)}},
		{"numbers up to 2", storage.ErrUnfit, ReindexOptions{Labels: Labels{Classes: []string{"a", "b"}}}, nil},
		{"not a tar file but a text file", storage.ErrCorrupt, ReindexOptions{}, map[string]string{"f/set-train-0002.tar": strings.Repeat("words", 1000)}},
		{"after 9 members it ends without the zeros", storage.ErrCorrupt, ReindexOptions{}, map[string]string{"f/set-train-0002.tar": cut}},
		{"its .json has the fields label, synset, w but not absent", storage.ErrUnfit, ReindexOptions{LabelKey: "absent"}, nil},
		{"another", storage.ErrExists, ReindexOptions{}, map[string]string{"f/index.json": "another"}},
	} {
		_, _, err := Reindex(t.Context(), foreignSet(t, test.more), "f", test.options)
		if err == nil || !strings.Contains(err.Error(), test.want) && test.is != storage.ErrExists || test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
	if _, _, err := Reindex(t.Context(), storagetest.Memory(t), "f", ReindexOptions{}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("an empty prefix: %v, want ErrNotFound", err)
	}
}

// The split of a shard is told by the words of its path.
func TestSplitOfAShard(t *testing.T) {
	for name, want := range map[string]string{
		"imagenet1k-train-0001.tar": "train", "imagenet1k-validation-01.tar": "val", "val/000.tar": "val", "a/valid_7.tar": "val",
		"000123.tar": "", "interval-training-3.tar": "train", "trainval.tar": "", "train-val/val-3.tar": "val", "val0000.tar": "val",
		"test/1.tar": "test", "data/eval-1.tar": "test",
	} {
		got, _, err := splitOfPath(name)
		if err != nil || got != want {
			t.Errorf("%s is of split %q (%v), want %q", name, got, err, want)
		}
	}
	if _, _, err := splitOfPath("train/val-1.tar"); !errors.Is(err, storage.ErrUnfit) {
		t.Errorf("words of two splits: %v", err)
	}
}

func FuzzTarScan(f *testing.F) {
	f.Add(foreignShard(f, 0, 3))
	f.Add(foreignTar(f, tar.FormatGNU, member{strings.Repeat("x/", 200) + "1.png", "i"}, member{"a.b.c.jpg", ""}))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &reindexer{}
		found, seen, err := r.scanShard(bytes.NewReader(data), statedShard{split: "train", name: "a.tar"})
		if err != nil {
			return
		}
		// Every byte was seen, and every image lies within them.
		if found.Size != int64(len(data)) || len(found.items) != found.Samples.Len() || seen != found.Samples.Len()+len(r.rejects) {
			t.Fatalf("%d of %d bytes, %d samples, %d rejects, %d seen", found.Size, len(data), found.Samples.Len(), len(r.rejects), seen)
		}
		for i, offset := range found.Samples.Offsets {
			if offset < 0 || found.Samples.Lengths[i] <= 0 || offset+found.Samples.Lengths[i] > found.Size {
				t.Fatalf("sample %d lies at %d+%d of %d", i, offset, found.Samples.Lengths[i], found.Size)
			}
		}
	})
}
