package pixels

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/png"
	"testing"
)

// cutWhole resizes a whole image to 32 x 32 pixels.
func cutWhole(encoded []byte) ([]byte, error) {
	d := NewDecoder()
	defer d.Close()
	width, height, err := d.Size(encoded)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 3*32*32)
	return out, d.Cut(encoded, View{box: box{width: width, height: height}, width: 32, height: 32, size: 32}, out)
}

// TestDamagedAndHugeImagesAreRefused by Cut and by Verify: images for which Pillow raises, and
// images beyond a limit.
func TestDamagedAndHugeImagesAreRefused(t *testing.T) {
	whole := readFile(t, "testdata/golden/photo420.jpg")
	progressive := readFile(t, "testdata/golden/progressive.jpg")
	gray := readFile(t, "testdata/kinds/gray.png")
	webp := readFile(t, "testdata/kinds/lossy.webp")
	for name, encoded := range map[string][]byte{
		"nothing":               {},
		"another format":        []byte("GIF89a..............."),
		"cut in the header":     whole[:300],
		"cut in the middle":     whole[:len(whole)*2/3],
		"cut short":             whole[:len(whole)-200],
		"progressive cut":       progressive[:len(progressive)*2/3],
		"progressive cut short": progressive[:len(progressive)-200],
		"only a beginning":      whole[:3],
		"two components":        withComponents(whole, 2),
		"PNG cut":               gray[:len(gray)*2/3],
		"PNG damaged":           withFlippedBits(gray, len(gray)/2, 0xff),
		"WebP cut":              webp[:len(webp)*2/3],
		"WebP without a frame":  webp[:20],
		"too many bytes":        append(bytes.Clone(whole), make([]byte, maxBytes)...),
		"JPEG of many pixels":   withSize(whole, 65000, 65000),
		"JPEG of no height":     withSize(whole, 500, 0),
		"PNG of many pixels":    withPNGSize(gray, 1<<16, 1<<16),
		"PNG of a long side":    withPNGSize(gray, 1<<20, 1),
		"PNG of no width":       withPNGSize(gray, 0, 5),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := cutWhole(encoded); err == nil {
				t.Error("a view is cut from it")
			} else if err.Error() == "" {
				t.Error("an error without a message")
			}
			if _, _, err := Verify(encoded); err == nil {
				t.Error("Verify finds no fault")
			}
		})
	}
}

// TestVerifyReturnsTheSize of images of all formats. Garbage after a JPEG image is no fault.
func TestVerifyReturnsTheSize(t *testing.T) {
	for name, want := range map[string][2]int{
		"golden/photo420.jpg": {375, 281}, "golden/cmyk.jpg": {280, 210}, "golden/turned.jpg": {300, 225},
		"kinds/garbage-behind.jpg": {37, 29}, "kinds/rgb16.png": {37, 29}, "kinds/lossy-odd.webp": {37, 29},
	} {
		width, height, err := Verify(readFile(t, "testdata/"+name))
		if err != nil || width != want[0] || height != want[1] {
			t.Errorf("%s: %dx%d, %v, want %v", name, width, height, err, want)
		}
	}
}

// TestGrayPNGIsCutUnchanged: an image of Fashion-MNIST's kind and size, cut without a resize.
func TestGrayPNGIsCutUnchanged(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, 28, 28))
	for i := range m.Pix {
		m.Pix[i] = byte(i)
	}
	var file bytes.Buffer
	if err := png.Encode(&file, m); err != nil {
		t.Fatal(err)
	}
	d := NewDecoder()
	defer d.Close()
	width, height, err := d.Size(file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	v := EvaluationCrop(28).View(width, height, 28, nil)
	if v.width != 32 || v.height != 32 || v.x != 2 || v.y != 2 {
		t.Errorf("evaluation of 28 pixels: %+v", v)
	}
	got := make([]byte, 28*28*3)
	if err := d.Cut(file.Bytes(), View{box: box{width: 28, height: 28}, width: 28, height: 28, size: 28}, got); err != nil {
		t.Fatal(err)
	}
	for i, want := range m.Pix {
		if got[3*i] != want || got[3*i+1] != want || got[3*i+2] != want {
			t.Fatalf("pixel %d is %v, want %d", i, got[3*i:3*i+3], want)
		}
	}
}

// withFlippedBits flips bits of the byte at an offset.
func withFlippedBits(file []byte, at int, bits byte) []byte {
	file = bytes.Clone(file)
	file[at] ^= bits
	return file
}

// frameHeader returns the offset of a JPEG file's SOF segment.
func frameHeader(file []byte) int {
	return max(bytes.Index(file, []byte("\xff\xc0\x00\x11\x08")), bytes.Index(file, []byte("\xff\xc2\x00\x11\x08")))
}

// withSize changes the size in the header of a JPEG file.
func withSize(file []byte, width, height uint16) []byte {
	file = bytes.Clone(file)
	at := frameHeader(file)
	binary.BigEndian.PutUint16(file[at+5:], height)
	binary.BigEndian.PutUint16(file[at+7:], width)
	return file
}

// withComponents changes the number of components in the header of a JPEG file.
func withComponents(file []byte, n byte) []byte {
	file = bytes.Clone(file)
	file[frameHeader(file)+9] = n
	return file
}

// withPNGSize changes the size in the header of a PNG file.
func withPNGSize(file []byte, width, height uint32) []byte {
	var out bytes.Buffer
	out.Write(file[:16])
	head := bytes.Clone(file[16:29])
	binary.BigEndian.PutUint32(head, width)
	binary.BigEndian.PutUint32(head[4:], height)
	out.Write(head)
	out.Write(pngChecksum(append([]byte("IHDR"), head...)))
	out.Write(file[33:])
	return out.Bytes()
}

func pngChecksum(chunk []byte) []byte {
	return binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(chunk))
}
