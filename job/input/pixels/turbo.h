// Cutting and resizing JPEG images: libjpeg-turbo for the one, Pillow's fixed-point resize for the other.
#ifndef CIJEPA_INPUT_TURBO_H
#define CIJEPA_INPUT_TURBO_H

#include <stddef.h>
#include <stdint.h>

// A cut is a region of source pixels that becomes size x size RGB triples. The axes are tables of taps, one row of so many
// numbers for every output column or row: first source pixel of the region, number of taps, weights with 22 fractional
// bits, zeros up to the number of weights that all rows have room for, a multiple of four.
typedef struct {
	int left, top, width, height;
	int size;
	int across_stride, down_stride; // numbers in a row of the axes
	int whole;                      // decode the image in full first; the result is the same, which a test shows
	int scalar;                     // use no vector instructions; the result is the same, which a test shows
} cijepa_cut;

// A resizer takes the rows of a region from top to bottom, as they are decoded, and keeps the few that are still needed.
typedef struct {
	const int32_t *across, *down;
	int across_stride, down_stride, size, vector;
	uint8_t *out;
	uint8_t *rows; // after the horizontal pass: RGB triples
	size_t pitch;  // bytes from row to row
	int capacity;  // rows that fit
	int first;     // number of the topmost row kept
	int count;     // rows kept
	int next;      // output row to be made next
	int32_t *packed; // the axes, with weights as the vector instructions take them
	size_t rows_size, packed_size;
} cijepa_resizer;

// Behind the end of a row of RGBX pixels, so many bytes may be read for weights of zero.
static inline size_t cijepa_row_padding(const cijepa_cut *cut) { return 4 * (size_t)(cut->across_stride - 2); }

int cijepa_resizer_begin(cijepa_resizer *r, const cijepa_cut *cut, const int32_t *across, const int32_t *down, uint8_t *out);
void cijepa_resizer_push(cijepa_resizer *r, const uint8_t *rgbx, size_t stride, int n);
void cijepa_resizer_free(cijepa_resizer *r);
int cijepa_vector_unit(void);

// A decoder serves one thread at a time. Functions that return an int return 0, or something else when the image is at fault;
// cijepa_error then says how. No function keeps a pointer that it is given, and no image changes what the next one gives.
typedef struct cijepa_decoder cijepa_decoder;

cijepa_decoder *cijepa_decoder_new(void);
void cijepa_decoder_free(cijepa_decoder *d);
const char *cijepa_error(const cijepa_decoder *d);
const char *cijepa_libjpeg_version(void);

int cijepa_jpeg_size(cijepa_decoder *d, const uint8_t *jpeg, size_t n, int *width, int *height);
int cijepa_jpeg_verify(cijepa_decoder *d, const uint8_t *jpeg, size_t n);
int cijepa_jpeg_cut(cijepa_decoder *d, const uint8_t *jpeg, size_t n, const cijepa_cut *cut,
                    const int32_t *across, const int32_t *down, uint8_t *out);
int cijepa_resize(cijepa_decoder *d, const uint8_t *rgbx, size_t stride, const cijepa_cut *cut,
                  const int32_t *across, const int32_t *down, uint8_t *out);

#endif
