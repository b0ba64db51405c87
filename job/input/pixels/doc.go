// Package pixels turns one encoded image into one square of RGB bytes: decode, crop, resize. It
// knows images and a CPU, and nothing of data sets, batches or graphs.
//
// Built with cgo, the pixels equal those of Pillow (up to version 12) and torchvision, to the last
// bit: libjpeg-turbo decodes JPEG files, and the resize is Pillow's fixed-point arithmetic. Pillow
// 13 resizes vertically first where the height shrinks much more than the width, which rounds some
// pixels to another level. Without cgo image/jpeg decodes, several times slower, and some pixels
// differ by a level.
//
// Files in reading order:
//
//	crop.go                          Crop, a recipe, and View, the square it places on one image
//	decoder.go                       Decoder: Size, Cut; Verify
//	limits.go                        scans and memory of a JPEG image, for both decoders
//	filter.go, coefficients.go       the kernels of a resize and Pillow's table of their weights
//	codec_turbo.go, turbo.h          JPEG and resize with cgo, through the two C files:
//	turbo_decode.c, turbo_resize.c   a region of a JPEG file; the resize, scalar and AVX2
//	codec_plain.go, chroma_jpeg.go   JPEG and resize without cgo
//	rgbx.go, chroma.go               pixels of Go's image types with Pillow's colours
//	webp.go                          the size and the colour conversion of WebP files
//
// testdata/README.md says where the golden images come from. Tests and benchmarks read three
// variables:
//
//	CIJEPA_GOLDEN_IMAGES   a folder like testdata/golden whose cases are tested too
//	CIJEPA_CASES           the number of random cases, e.g. 20000, where the default is small
//	CIJEPA_BENCH_IMAGES    a folder of JPEG files to measure with, and to test regions on
package pixels
