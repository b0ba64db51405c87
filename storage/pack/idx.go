package pack

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"hash/crc32"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
)

// IDX is one split in the IDX format of the MNIST family: the bytes of its images file (magic
// 0x00000803) and of its labels file (magic 0x00000801), each plain or gzipped.
type IDX struct {
	Split          string    // "train" or "val"
	Images, Labels io.Reader // Labels may be nil: the images have none
}

// largestIDX bounds what an IDX header may make the program allocate; MNIST's training images are
// 47 MB.
const largestIDX = 4 << 30

// FromIDX reads splits in the IDX format. Their pixels are held in memory (47 MB for 60,000 images
// of 28x28), and each image becomes a grey PNG with the same pixels. classes are the class names in
// label order; without them the classes are called by their numbers, "0" to the largest label.
func FromIDX(classes []string, splits ...IDX) (Source, error) {
	source := &idxSource{classes: classes}
	largest := 0
	for _, split := range splits {
		images, err := readIDX(split.Images, 3)
		if err != nil {
			return nil, fmt.Errorf("%s images: %w", split.Split, err)
		}
		if split.Labels == nil {
			source.splits = append(source.splits, idxSplit{name: split.Split, images: images})
			continue
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

// fromIDXFolder reads the IDX files of a folder: for each split one of images and one of labels
// with the same name but for these words, such as train-images-idx3-ubyte and
// train-labels-idx1-ubyte, plain or gzipped.
func fromIDXFolder(t *tree, o SourceOptions) (Source, error) {
	named := map[string]string{} // files by their names without .gz
	rejects, images := t.rejects, []string{}
	for _, name := range slices.Sorted(slices.Values(t.idx)) { // the plain file comes first
		plain := strings.TrimSuffix(name, ".gz")
		if first := named[plain]; first != "" {
			rejects = append(rejects, Reject{Split: otherSplit, Name: name, Err: fmt.Errorf("it lies beside %s", first)})
			continue
		}
		if named[plain] = name; strings.Contains(path.Base(plain), "images") {
			images = append(images, plain)
		}
	}
	files, _, err := splitShards(images, nil, o.Train, o.Val)
	if err != nil {
		return nil, err
	}
	var splits []IDX
	imagesOf := map[string]string{} // by split
	for _, file := range files {
		images, split := file.name, file.split
		if split != valSplit && split != trainSplit {
			rejects = append(rejects, Reject{Split: otherSplit, Name: images, Images: t.countIDX(named[images]), Err: passedOver(split, "PATTERN", o.HoldOut)})
			continue
		}
		if first := imagesOf[split]; first != "" {
			return nil, twoUnits(split, first, images)
		}
		imagesOf[split] = images
		dir, base := path.Split(images)
		labels := dir + strings.NewReplacer("images", "labels", "idx3", "idx1").Replace(base)
		pair := IDX{Split: split}
		if pair.Images, err = t.open(named[images]); err != nil {
			return nil, err
		}
		if name := named[labels]; name != "" {
			if pair.Labels, err = t.open(name); err != nil {
				return nil, err
			}
		} else if !o.Unlabelled {
			return nil, unfit("%s, the labels of %s, is not in the source: give the folder that has both, or -unlabelled", labels, images)
		}
		splits = append(splits, pair)
	}
	if len(splits) == 0 {
		return nil, unfit("%s has IDX files, but none whose name says images and a split: expected %s", t.root, layout)
	}
	slices.SortFunc(splits, func(a, b IDX) int { return strings.Compare(a.Split, b.Split) })
	source, err := FromIDX(nil, splits...)
	if err != nil {
		return nil, corrupt("%w", err)
	}
	source.(*idxSource).rejects = rejects
	return source, nil
}

// countIDX is the number of images of a file that is passed over; 0 where it cannot be read.
func (t *tree) countIDX(name string) int {
	file, err := t.open(name)
	if err != nil {
		return 0
	}
	images, err := readIDX(file, 3)
	if err != nil {
		return 0
	}
	return images.dims[0]
}

type idxArray struct {
	dims []int
	data []byte
}

// readIDX reads an array of unsigned bytes with the given number of dimensions.
func readIDX(r io.Reader, rank int) (idxArray, error) {
	plain, err := gunzipped(r)
	if err != nil {
		return idxArray{}, err
	}
	header := make([]byte, 4+4*rank)
	if _, err := io.ReadFull(plain, header); err != nil {
		return idxArray{}, fmt.Errorf("reading the IDX header: %w", err)
	}
	if !bytes.Equal(header[:4], []byte{0, 0, 8, byte(rank)}) {
		return idxArray{}, fmt.Errorf("not an IDX file of bytes with %d dimensions: it begins with %x", rank, header[:4])
	}
	var dims []int
	size := int64(1)
	for i := range rank {
		dim := binary.BigEndian.Uint32(header[4+4*i:])
		if dim == 0 || size > largestIDX/int64(dim) {
			return idxArray{}, fmt.Errorf("IDX dimension %d is %d", i, dim)
		}
		size *= int64(dim)
		dims = append(dims, int(dim))
	}
	// The header is not believed before the bytes are there: beyond the size of MNIST's files the
	// buffer grows as they come.
	var data bytes.Buffer
	data.Grow(int(min(size, 48<<20)) + bytes.MinRead)
	n, err := io.Copy(&data, io.LimitReader(plain, size+1))
	if err != nil {
		return idxArray{}, fmt.Errorf("reading IDX data: %w", err)
	}
	if n != size {
		return idxArray{}, fmt.Errorf("IDX data ends after %d bytes or goes on after the %d of its header", n, size)
	}
	return idxArray{dims, data.Bytes()}, nil
}

type idxSplit struct {
	name   string
	images idxArray
	labels []byte // nil: it has none
}

type idxSource struct {
	classes []string
	rejects []Reject
	splits  []idxSplit
}

func (s *idxSource) List(context.Context) (Listing, error) {
	var items []Item
	for _, split := range s.splits {
		for i := range split.images.dims[0] {
			items = append(items, Item{Split: split.name, Name: strconv.Itoa(i), Ext: "png"})
			if split.labels != nil {
				items[len(items)-1].Class = s.classes[split.labels[i]]
			}
		}
	}
	return Listing{Items: items, Classes: s.classes, Drawn: true, Rejects: s.rejects}, nil
}

func (s *idxSource) Read(i int, buf []byte) ([]byte, error) {
	for _, split := range s.splits {
		if i >= split.images.dims[0] {
			i -= split.images.dims[0]
			continue
		}
		height, width := split.images.dims[1], split.images.dims[2]
		pixels := split.images.data[i*height*width : (i+1)*height*width]
		return append(buf, greyPNG(pixels, width, height)...), nil
	}
	return buf, fmt.Errorf("no image %d", i)
}

func (s *idxSource) Close() error { return nil }

// greyPNG encodes 8-bit grey pixels, row by row, as a PNG file. The pixels are stored, not
// compressed: the file is then a function of the pixels alone, where a compressor's output changes
// between releases of Go, and with it the checksum of every shard. A 28x28 image takes 880 bytes,
// two of a tar file's 512-byte blocks.
func greyPNG(pixels []byte, width, height int) []byte {
	var raw []byte
	for row := range slices.Chunk(pixels, width) {
		raw = append(raw, 0) // no filter
		raw = append(raw, row...)
	}
	zlib := []byte{0x78, 0x01}
	const largest = 1<<16 - 1 // of a stored block
	for rest := raw; len(rest) > 0; {
		block := rest[:min(len(rest), largest)]
		rest = rest[len(block):]
		last := byte(0)
		if len(rest) == 0 {
			last = 1
		}
		zlib = append(zlib, last)
		zlib = binary.LittleEndian.AppendUint16(zlib, uint16(len(block)))
		zlib = binary.LittleEndian.AppendUint16(zlib, ^uint16(len(block)))
		zlib = append(zlib, block...)
	}
	zlib = binary.BigEndian.AppendUint32(zlib, adler32.Checksum(raw))

	header := binary.BigEndian.AppendUint32(nil, uint32(width))
	header = binary.BigEndian.AppendUint32(header, uint32(height))
	header = append(header, 8, 0, 0, 0, 0) // bits, grey, deflate, adaptive filter, not interlaced

	png := []byte("\x89PNG\r\n\x1a\n")
	png = pngChunk(png, "IHDR", header)
	png = pngChunk(png, "IDAT", zlib)
	return pngChunk(png, "IEND", nil)
}

func pngChunk(png []byte, kind string, data []byte) []byte {
	png = binary.BigEndian.AppendUint32(png, uint32(len(data)))
	start := len(png)
	png = append(png, kind...)
	png = append(png, data...)
	return binary.BigEndian.AppendUint32(png, crc32.ChecksumIEEE(png[start:]))
}
