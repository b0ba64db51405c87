package pack

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// IDX is one split in the IDX format of the MNIST family: the bytes of its images file (magic 0x00000803) and of its labels
// file (magic 0x00000801), each plain or gzipped.
type IDX struct {
	Split          string // "train" or "val"
	Images, Labels io.Reader
}

// largestIDX bounds what an IDX header may make the program allocate; MNIST's training images are 47 MB.
const largestIDX = 4 << 30

// FromIDX reads splits in the IDX format. Their pixels are held in memory (47 MB for 60,000 images of 28x28), and each image
// becomes a grey PNG with the same pixels. classes are the class names in label order; without them the classes are called by
// their numbers, "0" to the largest label.
func FromIDX(classes []string, splits ...IDX) (Source, error) {
	source := &idxSource{classes: classes}
	largest := 0
	for _, split := range splits {
		images, err := readIDX(split.Images, 3)
		if err != nil {
			return nil, fmt.Errorf("%s images: %w", split.Split, err)
		}
		labels, err := readIDX(split.Labels, 1)
		if err != nil {
			return nil, fmt.Errorf("%s labels: %w", split.Split, err)
		}
		if images.dims[0] != labels.dims[0] {
			return nil, fmt.Errorf("%s: %d images but %d labels", split.Split, images.dims[0], labels.dims[0])
		}
		for i, label := range labels.data {
			if len(classes) > 0 && int(label) >= len(classes) {
				return nil, fmt.Errorf("%s: image %d has label %d of %d classes", split.Split, i, label, len(classes))
			}
			largest = max(largest, int(label))
		}
		source.splits = append(source.splits, idxSplit{name: split.Split, images: images, labels: labels.data})
	}
	if len(classes) == 0 {
		for i := range largest + 1 {
			source.classes = append(source.classes, strconv.Itoa(i))
		}
	}
	return source, nil
}

// fromIDXFolder reads a folder with the MNIST family's four files, train-images-idx3-ubyte, train-labels-idx1-ubyte,
// t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, each plain or ending in .gz. The t10k pair becomes the split "val".
func fromIDXFolder(folder string) (Source, error) {
	var splits []IDX
	for _, pair := range []struct{ split, prefix string }{{"train", "train"}, {"val", "t10k"}} {
		split := IDX{Split: pair.split}
		for _, part := range []struct {
			name string
			to   *io.Reader
		}{{"-images-idx3-ubyte", &split.Images}, {"-labels-idx1-ubyte", &split.Labels}} {
			file, err := openEither(filepath.Join(folder, pair.prefix+part.name))
			if err != nil {
				return nil, err
			}
			defer file.Close()
			*part.to = file
		}
		splits = append(splits, split)
	}
	return FromIDX(nil, splits...)
}

// openEither opens the named file, or the same name with .gz.
func openEither(name string) (*os.File, error) {
	file, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		if zipped, zerr := os.Open(name + ".gz"); zerr == nil {
			return zipped, nil
		}
	}
	return file, err
}

type idxArray struct {
	dims []int
	data []byte
}

// readIDX reads an array of unsigned bytes with the given number of dimensions.
func readIDX(r io.Reader, rank int) (idxArray, error) {
	buffered := bufio.NewReader(r)
	var plain io.Reader = buffered
	if magic, err := buffered.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		if plain, err = gzip.NewReader(buffered); err != nil {
			return idxArray{}, err
		}
	}
	header := make([]byte, 4+4*rank)
	if _, err := io.ReadFull(plain, header); err != nil {
		return idxArray{}, fmt.Errorf("reading the IDX header: %w", err)
	}
	if !bytes.Equal(header[:4], []byte{0, 0, 8, byte(rank)}) {
		return idxArray{}, fmt.Errorf("not an IDX file of bytes with %d dimensions: it begins with %x", rank, header[:4])
	}
	array := idxArray{}
	size := int64(1)
	for i := range rank {
		dim := binary.BigEndian.Uint32(header[4+4*i:])
		if dim == 0 || size > largestIDX/int64(dim) {
			return idxArray{}, fmt.Errorf("IDX dimension %d is %d", i, dim)
		}
		size *= int64(dim)
		array.dims = append(array.dims, int(dim))
	}
	// The header is not believed before the bytes are there: beyond the size of MNIST's files the buffer grows as they come.
	var data bytes.Buffer
	data.Grow(int(min(size, 48<<20)) + bytes.MinRead)
	n, err := io.Copy(&data, io.LimitReader(plain, size+1))
	if err != nil {
		return idxArray{}, fmt.Errorf("reading IDX data: %w", err)
	}
	if n != size {
		return idxArray{}, fmt.Errorf("IDX data ends after %d bytes or goes on after the %d of its header", n, size)
	}
	array.data = data.Bytes()
	return array, nil
}

type idxSplit struct {
	name   string
	images idxArray
	labels []byte
}

type idxSource struct {
	classes []string
	splits  []idxSplit
}

func (s *idxSource) List(context.Context) (Listing, error) {
	var items []Item
	for _, split := range s.splits {
		for i, label := range split.labels {
			items = append(items, Item{Split: split.name, Name: strconv.Itoa(i), Class: s.classes[label], Ext: "png"})
		}
	}
	return Listing{Items: items, Classes: s.classes}, nil
}

func (s *idxSource) Read(i int, buf []byte) ([]byte, error) {
	for _, split := range s.splits {
		if i >= len(split.labels) {
			i -= len(split.labels)
			continue
		}
		height, width := split.images.dims[1], split.images.dims[2]
		pixels := split.images.data[i*height*width : (i+1)*height*width]
		return append(buf, greyPNG(pixels, width, height)...), nil
	}
	return buf, fmt.Errorf("no image %d", i)
}

func (s *idxSource) Close() error { return nil }
