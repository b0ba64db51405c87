// Cut and resize JPEG images: libjpeg-turbo decodes, and the resize is Pillow's, in fixed point.
#ifndef CIJEPA_PIXELS_TURBO_H
#define CIJEPA_PIXELS_TURBO_H

#include <stddef.h>
#include <stdint.h>

// A cut turns a region of source pixels into size x size RGB triples.
//
// Its coefficients are two tables, horizontal and vertical, with one row of stride numbers for
// every output column or row: the first source pixel of the region, the number of taps, one weight
// per tap with 22 fractional bits, and zeros. All rows have room for the same number of weights, a
// multiple of four.
typedef struct {
	int left, top, width, height;
	int size;
	int horizontal_stride, vertical_stride;
	int whole;  // decode the whole image first; for tests, changes no pixel
	int scalar; // use no vector instructions; for tests, changes no pixel
} cijepa_cut;

// A resizer takes the rows of a region from top to bottom, as they are decoded, and keeps only
// those that later output rows need.
typedef struct {
	const int32_t *horizontal, *vertical; // coefficients
	int horizontal_stride, vertical_stride, size, vector;
	uint8_t *out;
	uint8_t *rows;   // after the horizontal pass: RGB triples
	size_t pitch;    // bytes from row to row
	int capacity;    // rows that fit
	int first;       // source row of the topmost row kept
	int count;       // rows kept
	int next;        // next output row
	int32_t *packed; // the coefficients, packed for the vector instructions
	size_t rows_size, packed_size; // bytes
} cijepa_resizer;

// cijepa_row_padding returns the number of bytes after the end of a row of RGBX pixels that may be
// read, for weights of zero.
static inline size_t cijepa_row_padding(const cijepa_cut *cut) { return 4 * (size_t)(cut->horizontal_stride - 2); }

// cijepa_resizer_begin starts a resize into out. It returns 1 if there is no memory, else 0.
int cijepa_resizer_begin(cijepa_resizer *r, const cijepa_cut *cut,
                         const int32_t *horizontal, const int32_t *vertical, uint8_t *out);
// cijepa_resizer_push takes the next n rows of RGBX pixels and writes the output rows that they
// complete.
void cijepa_resizer_push(cijepa_resizer *r, const uint8_t *rgbx, size_t stride, int n);
void cijepa_resizer_free(cijepa_resizer *r);
int cijepa_has_avx2(void);

// A decoder serves one thread at a time. Functions that return an int return 0, or 1 if the image
// is at fault; cijepa_error then returns the message. No function keeps a pointer that it is given,
// and every image is decoded from a clean state.
typedef struct cijepa_decoder cijepa_decoder;

cijepa_decoder *cijepa_decoder_new(void);
void cijepa_decoder_free(cijepa_decoder *d);
const char *cijepa_error(const cijepa_decoder *d);
const char *cijepa_libjpeg_version(void);

int cijepa_jpeg_size(cijepa_decoder *d, const uint8_t *jpeg, size_t n, int *width, int *height);
int cijepa_jpeg_verify(cijepa_decoder *d, const uint8_t *jpeg, size_t n);
int cijepa_jpeg_cut(cijepa_decoder *d, const uint8_t *jpeg, size_t n, const cijepa_cut *cut,
                    const int32_t *horizontal, const int32_t *vertical, uint8_t *out);
int cijepa_resize(cijepa_decoder *d, const uint8_t *rgbx, size_t stride, const cijepa_cut *cut,
                  const int32_t *horizontal, const int32_t *vertical, uint8_t *out);

#endif
