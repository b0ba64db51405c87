package pack

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestGreyPNG(t *testing.T) {
	// 300x400 needs more than one stored block.
	for _, size := range [][2]int{{1, 1}, {28, 28}, {300, 400}, {65534, 1}, {65535, 1}, {65534, 2}} {
		width, height := size[0], size[1]
		pixels := make([]byte, width*height)
		for i := range pixels {
			pixels[i] = byte(i * i >> 3)
		}
		decoded, err := png.Decode(bytes.NewReader(greyPNG(pixels, width, height)))
		if err != nil {
			t.Fatalf("%v: %v", size, err)
		}
		grey, ok := decoded.(*image.Gray)
		if !ok || grey.Rect != image.Rect(0, 0, width, height) || !bytes.Equal(grey.Pix, pixels) {
			t.Errorf("%v: %T of %v has other pixels", size, decoded, decoded.Bounds())
		}
	}
	if n := len(greyPNG(make([]byte, 28*28), 28, 28)); n > 1024 {
		t.Errorf("a 28x28 image takes %d bytes, more than two tar blocks", n)
	}
}

func TestFromIDXFolder(t *testing.T) {
	folder := t.TempDir()
	images, labels := idxFiles(12, 3, 3, 4)
	for name, data := range map[string][]byte{
		"train-images-idx3-ubyte.gz": gzipped(t, images), "train-labels-idx1-ubyte.gz": gzipped(t, labels),
		"t10k-images-idx3-ubyte": images, "t10k-labels-idx1-ubyte": labels,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	src, err := OpenSource(t.Context(), folder, SourceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	listing, err := src.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	items, classes := listing.Items, listing.Classes
	if !slices.Equal(classes, []string{"0", "1", "2", "3"}) || len(items) != 24 {
		t.Fatalf("%d items in classes %v", len(items), classes)
	}
	for i, item := range items {
		want := Item{Split: []string{"train", "val"}[i/12], Name: fmt.Sprint(i % 12), Class: fmt.Sprint(i % 12 % 4), Ext: "png"}
		if item != want {
			t.Errorf("item %d is %+v, want %+v", i, item, want)
		}
		data, err := src.Read(i, []byte("before"))
		if err != nil {
			t.Fatal(err)
		}
		pixels := images[16+i%12*9:][:9]
		if string(data) != "before"+string(greyPNG(pixels, 3, 3)) {
			t.Errorf("image %d has other bytes", i)
		}
	}
	if _, err := src.Read(24, nil); err == nil {
		t.Error("no error for an image that is not there")
	}
	if err := os.Remove(filepath.Join(folder, "t10k-labels-idx1-ubyte")); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSource(t.Context(), folder, SourceOptions{}); err == nil || !strings.Contains(err.Error(), "t10k-labels-idx1-ubyte") {
		t.Errorf("a missing file: %v", err)
	}
}

// One file of images is a source of its own where no labels are asked for.
func TestASingleIDXFileIsPackedWithoutLabels(t *testing.T) {
	images, _ := idxFiles(12, 3, 3, 4)
	name := filepath.Join(t.TempDir(), "train-images-idx3-ubyte")
	if err := os.WriteFile(name, images, 0o666); err != nil {
		t.Fatal(err)
	}
	src, err := OpenSource(t.Context(), name, SourceOptions{Unlabelled: true})
	if err != nil {
		t.Fatal(err)
	}
	found, _, _ := content(t, src)
	if len(found) != 12 {
		t.Errorf("%d images, want 12", len(found))
	}
}

func TestFromIDXErrors(t *testing.T) {
	images, labels := idxFiles(5, 2, 2, 5)
	for _, test := range []struct {
		want           string
		images, labels []byte
		classes        []string
	}{
		{"reading the IDX header", images[:10], labels, nil},
		{"not an IDX file", append(slices.Clone(labels), 0, 0, 0), labels, nil},
		{"not an IDX file", []byte("\x00\x00\x0d\x03 floats are not images"), labels, nil},
		{"ends after 19 bytes", images[:len(images)-1], labels, nil},
		{"or goes on after the 20", append(slices.Clone(images), 0), labels, nil},
		{"5 images but 4 labels", images, append([]byte{0, 0, 8, 1, 0, 0, 0, 4}, 0, 1, 2, 3), nil},
		{"dimension 1 is 0", append([]byte{0, 0, 8, 3, 0, 0, 0, 5}, make([]byte, 8)...), labels, nil},
		{"dimension", []byte("\x00\x00\x08\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), labels, nil},
		{"label 4 of 4 classes", images, labels, []string{"a", "b", "c", "d"}},
		{"gzip", append([]byte{0x1f, 0x8b}, images...), labels, nil},
	} {
		_, err := FromIDX(test.classes, IDX{Split: "train", Images: bytes.NewReader(test.images), Labels: bytes.NewReader(test.labels)})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
}
