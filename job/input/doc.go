// Package input turns the samples of a data set into the batches that a device trains on: the order of an epoch, decoding,
// random crops, Pillow's resize, fixed-shape uint8 batches ahead of their use.
//
// It knows no bucket, no graph and no environment: samples come through the small interface Source, and a batch is plain
// bytes. Whatever it hands out is a function of (seed, step) alone, so that a run continues at any step, with any number
// of workers, on the same bytes.
//
// Pixels are those of Pillow and torchvision, to the last bit, when the package is built with cgo: JPEG files are decoded by
// libjpeg-turbo. (Those of Pillow up to version 12. Version 13 resizes vertically first where the height shrinks much more
// than the width, which rounds to another level here and there.) Without cgo the standard library decodes them, several
// times slower and with a level of difference here and there.
//
// Tests and benchmarks look at three variables: CIJEPA_GOLDEN_IMAGES names a folder like testdata/golden whose cases are
// tried too, CIJEPA_CASES=20000 sets the number of random cases where the default is a small one, and CIJEPA_BENCH_IMAGES
// names a folder of JPEG files to measure with instead of the small ones of the tests.
package input
