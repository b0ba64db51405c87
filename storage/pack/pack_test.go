package pack

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/shards"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// idxPixel is the value of a pixel of the test images: every image differs from every other.
func idxPixel(i, pixel int) byte { return byte(i*31 + i/251 + pixel*7) }

// idxFiles makes an images and a labels file with labels i % classes.
func idxFiles(n, height, width, classes int) (images, labels []byte) {
	images = binary.BigEndian.AppendUint32(nil, 0x803)
	images = binary.BigEndian.AppendUint32(images, uint32(n))
	images = binary.BigEndian.AppendUint32(images, uint32(height))
	images = binary.BigEndian.AppendUint32(images, uint32(width))
	labels = binary.BigEndian.AppendUint32(nil, 0x801)
	labels = binary.BigEndian.AppendUint32(labels, uint32(n))
	for i := range n {
		for pixel := range height * width {
			images = append(images, idxPixel(i, pixel))
		}
		labels = append(labels, byte(i%classes))
	}
	return images, labels
}

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// idxSourceOf is a source of n training and n/5 validation images in three classes.
func idxSourceOf(t *testing.T, n int) Source {
	t.Helper()
	images, labels := idxFiles(n, 5, 4, 3)
	valImages, valLabels := idxFiles(n/5, 5, 4, 3)
	src, err := FromIDX([]string{"cat", "ant", "bee"},
		IDX{Split: "train", Images: bytes.NewReader(gzipped(t, images)), Labels: bytes.NewReader(gzipped(t, labels))},
		IDX{Split: "val", Images: bytes.NewReader(valImages), Labels: bytes.NewReader(valLabels)})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func mustPack(t *testing.T, src Source, dst *storage.Bucket, prefix string, o PackOptions) (shards.Index, []Reject) {
	t.Helper()
	o.TempDir = t.TempDir()
	ix, rejects, err := Pack(t.Context(), src, dst, prefix, o)
	if err != nil {
		t.Fatal(err)
	}
	return ix, rejects
}

func TestPackIDX(t *testing.T) {
	dst := storagetest.Memory(t)
	var done, total int64
	ix, rejects := mustPack(t, idxSourceOf(t, 50), dst, "data/idx", PackOptions{PerShard: 16, Checks: Checks{Progress: func(d, n int64) {
		if d != done+1 {
			t.Errorf("progress went from %d to %d", done, d)
		}
		done, total = d, n
	}}})
	if len(rejects) != 0 || done != 60 || total != 60 {
		t.Errorf("%d rejects, progress %d of %d, want none and 60 of 60", len(rejects), done, total)
	}
	if !slices.Equal(ix.Classes, []string{"cat", "ant", "bee"}) || ix.Counts["train"] != 50 || ix.Counts["val"] != 10 {
		t.Fatalf("classes %v, counts %v", ix.Classes, ix.Counts)
	}
	var sizes []int
	for _, shard := range ix.Splits["train"] {
		sizes = append(sizes, shard.Samples.Len())
	}
	if !slices.Equal(sizes, []int{12, 13, 12, 13}) {
		t.Errorf("shards of %v samples, want 50 spread over four", sizes)
	}

	// Every image is there once, under the place in the order as its key, with its pixels and its
	// label.
	stored := storagetest.Snapshot(t, dst)
	seen := map[byte]bool{}
	place := 0
	for _, shard := range ix.Splits["train"] {
		data := stored["data/idx/"+shard.Name]
		for i, key := range shard.Samples.Keys {
			if want := fmt.Sprintf("%08d", place); key != want {
				t.Fatalf("sample %d has key %s", place, key)
			}
			place++
			encoded := data[shard.Samples.Offsets[i]:][:shard.Samples.Lengths[i]]
			decoded, err := png.Decode(strings.NewReader(encoded))
			if err != nil {
				t.Fatal(err)
			}
			grey := decoded.(*image.Gray)
			if grey.Rect.Dx() != 4 || grey.Rect.Dy() != 5 {
				t.Fatalf("image of %v", grey.Rect)
			}
			original := -1
			for j := range 50 {
				if idxPixel(j, 0) == grey.Pix[0] {
					original = j
				}
			}
			for pixel, value := range grey.Pix {
				if value != idxPixel(original, pixel) {
					t.Fatalf("pixel %d of image %d is %d", pixel, original, value)
				}
			}
			if int(shard.Samples.Labels[i]) != original%3 {
				t.Fatalf("image %d has label %d", original, shard.Samples.Labels[i])
			}
			seen[grey.Pix[0]] = true
		}
		checkTar(t, data, &shard)
	}
	if len(seen) != 50 {
		t.Errorf("%d different images, want 50", len(seen))
	}
}

// checkTar reads a shard as any tar program would and compares it with its index entry.
func checkTar(t *testing.T, data string, shard *shards.Shard) {
	t.Helper()
	reader := tar.NewReader(strings.NewReader(data))
	var images, labels []string
	for {
		header, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.ModTime.Unix() != 0 || header.Mode != 0o644 || header.Format != tar.FormatUSTAR {
			t.Fatalf("%s: header %+v", header.Name, header)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		switch key, ending, _ := strings.Cut(header.Name, "."); ending {
		case "png":
			i := len(images)
			if key != shard.Samples.Keys[i] || string(content) != data[shard.Samples.Offsets[i]:][:shard.Samples.Lengths[i]] {
				t.Fatalf("%s: member %s is not sample %d of the index", shard.Name, header.Name, i)
			}
			images = append(images, key)
		case "cls":
			if key != images[len(images)-1] {
				t.Fatalf("%s stands beside image %s", header.Name, images[len(images)-1])
			}
			labels = append(labels, string(content))
		}
	}
	if len(images) != shard.Samples.Len() || len(labels) != len(images) {
		t.Fatalf("%s: %d images, %d labels, index has %d", shard.Name, len(images), len(labels), shard.Samples.Len())
	}
	for i, label := range labels {
		if label != strconv.Itoa(int(shard.Samples.Labels[i])) {
			t.Fatalf("%s: label %s of sample %d, index has %d", shard.Name, label, i, shard.Samples.Labels[i])
		}
	}
}

func TestPackIsDeterministic(t *testing.T) {
	first, second, third := storagetest.Memory(t), storagetest.Memory(t), storagetest.Memory(t)
	mustPack(t, idxSourceOf(t, 40), first, "d", PackOptions{PerShard: 9, Seed: 7, workers: 1})
	mustPack(t, idxSourceOf(t, 40), second, "d", PackOptions{PerShard: 9, Seed: 7, workers: 4})
	mustPack(t, idxSourceOf(t, 40), third, "d", PackOptions{PerShard: 9, Seed: 8})
	a, b, c := storagetest.Snapshot(t, first), storagetest.Snapshot(t, second), storagetest.Snapshot(t, third)
	for key := range a {
		if a[key] != b[key] {
			t.Errorf("%s differs between two packings with one seed", key)
		}
		if key != "d/"+shards.IndexName && a[key] == c[key] {
			t.Errorf("%s does not depend on the seed", key)
		}
	}
	if len(a) != len(b) || len(a) != 5+1+2 {
		t.Errorf("%d and %d objects, want 8", len(a), len(b))
	}
	// The order is part of the format: these bytes must never change.
	const golden = "5a904a8f8d308e62d37491d79a249adeb68ca294220ba7f5dc48e34b879ea848"
	if got := shards.Fingerprint([]byte(a["d/"+shards.IndexName])); got != golden {
		t.Errorf("fingerprint %s, want %s", got, golden)
	}
}

func TestPackRejects(t *testing.T) {
	dst := storagetest.Memory(t)
	bad := errors.New("bad image")
	ix, rejects := mustPack(t, idxSourceOf(t, 40), dst, "d", PackOptions{PerShard: 10, Checks: Checks{Verify: func(data []byte) (int, int, error) {
		decoded, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			return 0, 0, err
		}
		if first := decoded.(*image.Gray).Pix[0]; first == idxPixel(5, 0) || first == idxPixel(33, 0) {
			return 0, 0, bad
		}
		return 0, 0, nil
	}}})
	if ix.Counts["train"] != 38 || ix.Counts["val"] != 7 {
		t.Errorf("counts %v, want two images of train and one of val left out", ix.Counts)
	}
	var names []string
	for _, reject := range rejects {
		if !errors.Is(reject.Err, bad) {
			t.Errorf("%s: %v", reject.Name, reject.Err)
		}
		names = append(names, reject.Split+" "+reject.Name)
	}
	if !slices.Equal(names, []string{"train 33", "train 5", "val 5"}) {
		t.Errorf("rejects %v", names)
	}
}

// A split that must have images and of which none is left when they have been looked at makes no
// data set.
func TestPackRejectsASplit(t *testing.T) {
	dst := storagetest.Memory(t)
	o := PackOptions{Labels: Labels{Splits: []string{"train", "val"}}, TempDir: t.TempDir(), Checks: Checks{Verify: func(data []byte) (int, int, error) {
		if decoded, err := png.Decode(bytes.NewReader(data)); err != nil || decoded.(*image.Gray).Pix[0] == idxPixel(0, 0) {
			return 0, 0, errors.New("bad image")
		}
		return 0, 0, nil
	}}}
	_, rejects, err := Pack(t.Context(), idxSourceOf(t, 5), dst, "d", o) // val has one image, which is the first of train
	if len(rejects) != 2 {
		t.Errorf("rejects %v, want the same image of both splits", rejects)
	}
	if !errors.Is(err, storage.ErrUnfit) || !strings.Contains(err.Error(), "all images of split val were left out, such as val/0: bad image") {
		t.Errorf("got %v", err)
	}
	if _, ok := storagetest.Snapshot(t, dst)["d/index.json"]; ok {
		t.Error("there is an index")
	}
}

func TestPackAgain(t *testing.T) {
	dst := storagetest.Memory(t)
	mustPack(t, idxSourceOf(t, 40), dst, "d", PackOptions{PerShard: 10})
	want := storagetest.Snapshot(t, dst)
	ctx := t.Context()
	for _, lost := range [][]string{{}, {"d/index.json"}, {"d/train-000001.tar"}, {"d/index.json", "d/train-000002.tar", "d/val-000000.tar"}} {
		for _, key := range lost {
			if err := dst.Delete(ctx, key); err != nil {
				t.Fatal(err)
			}
		}
		before := modified(t, dst)
		mustPack(t, idxSourceOf(t, 40), dst, "d", PackOptions{PerShard: 10})
		after := modified(t, dst)
		for key := range want {
			if rewritten := before[key] != after[key]; rewritten != slices.Contains(lost, key) {
				t.Errorf("lost %v: %s written again: %v", lost, key, rewritten)
			}
		}
		got := storagetest.Snapshot(t, dst)
		for key := range want {
			if got[key] != want[key] {
				t.Errorf("lost %v: %s has other bytes than before", lost, key)
			}
		}
	}

	// A shard that another seed left behind is replaced as long as there is no index, and refused
	// when there is one.
	_, _, err := Pack(ctx, idxSourceOf(t, 40), dst, "d", PackOptions{PerShard: 10, Seed: 1, TempDir: t.TempDir()})
	if !errors.Is(err, storage.ErrExists) {
		t.Errorf("packing over another dataset: %v, want ErrExists", err)
	} else if !strings.HasPrefix(err.Error(), "d/index.json: already exists") || !strings.Contains(err.Error(), "delete this index") || strings.Contains(err.Error(), ".tar") {
		t.Errorf("what stands in the way and what to delete is not told: %v", err)
	}
	if err := dst.Delete(ctx, "d/index.json"); err != nil {
		t.Fatal(err)
	}
	mustPack(t, idxSourceOf(t, 40), dst, "d", PackOptions{PerShard: 10, Seed: 1})
	fresh := storagetest.Memory(t)
	mustPack(t, idxSourceOf(t, 40), fresh, "d", PackOptions{PerShard: 10, Seed: 1})
	got, want := storagetest.Snapshot(t, dst), storagetest.Snapshot(t, fresh)
	for key := range want {
		if got[key] != want[key] {
			t.Errorf("%s is not what a packing into an empty bucket gives", key)
		}
	}
}

// modified gives the time of the last write of every object in nanoseconds.
func modified(t *testing.T, b *storage.Bucket) map[string]int64 {
	t.Helper()
	entries, err := b.ListEntries(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]int64{}
	for _, entry := range entries {
		times[entry.Key] = entry.Modified.UnixNano()
	}
	return times
}

func TestPackClasses(t *testing.T) {
	dst := storagetest.Memory(t)
	ix, _ := mustPack(t, idxSourceOf(t, 30), dst, "d", PackOptions{Labels: Labels{Classes: []string{"bee", "cat"}}})
	if !slices.Equal(ix.Classes, []string{"bee", "cat"}) || ix.Counts["train"] != 20 {
		t.Errorf("classes %v, counts %v", ix.Classes, ix.Counts)
	}
	shard := ix.Splits["train"][0]
	if bees := count(shard.Samples.Labels, 0); bees != 10 {
		t.Errorf("%d samples with label 0, want the 10 bees", bees)
	}
	_, _, err := Pack(t.Context(), idxSourceOf(t, 30), storagetest.Memory(t), "d", PackOptions{Labels: Labels{Classes: []string{"bee", "wasp"}}})
	if err == nil || !strings.Contains(err.Error(), `"wasp"`) {
		t.Errorf("a class without images: %v", err)
	}
}

func count[T cmp.Ordered](values []T, wanted T) int {
	n := 0
	for _, value := range values {
		if value == wanted {
			n++
		}
	}
	return n
}

func TestPackIsCancelled(t *testing.T) {
	dst := storagetest.Memory(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, _, err := Pack(ctx, idxSourceOf(t, 400), dst, "d", PackOptions{PerShard: 10, workers: 1, TempDir: t.TempDir(),
		Checks: Checks{Progress: func(done, total int64) {
			if done == 35 {
				cancel()
			}
		}}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want context.Canceled", err)
	}
	stored := storagetest.Snapshot(t, dst)
	if _, ok := stored["d/index.json"]; ok || len(stored) != 3 {
		t.Errorf("%d objects, index %v; want three shards and no index", len(stored), ok)
	}
}
