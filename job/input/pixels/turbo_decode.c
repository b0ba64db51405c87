//go:build cgo

// Decodes a region of a JPEG file with libjpeg-turbo, row by row into the resizer.
//
// libjpeg reports an error by a function that must not return. Ours jumps back to the entry point,
// which is always in this file, so no jump crosses a Go frame.

#include <stdio.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "turbo.h"

enum {
	rows_at_once = 4,                 // the resize takes four rows together, while they are in the L1 cache
	max_scans = 100,                  // of a progressive image: encoders write about ten
	max_coefficient_bytes = 64 << 20, // DCT coefficients that libjpeg keeps of an image in several scans
	margin = 4,                       // columns decoded beside the region: chroma upsampling reads neighbours
};

struct cijepa_decoder {
	struct jpeg_decompress_struct jpeg;
	struct jpeg_error_mgr errors;
	struct jpeg_progress_mgr progress;
	jmp_buf failed;
	char message[JMSG_LENGTH_MAX];
	int needs_end;   // a missing end of the file is an error: see on_message
	uint8_t *pixels; // rows_at_once rows of RGBX
	size_t pixels_size;
	cijepa_resizer resizer;
};

// on_error is called by libjpeg and does not return.
static void on_error(j_common_ptr jpeg) {
	cijepa_decoder *d = jpeg->client_data;
	jpeg->err->format_message(jpeg, d->message);
	longjmp(d->failed, 1);
}

// fail ends a call with a message of our own and does not return.
static void fail(cijepa_decoder *d, const char *why) {
	snprintf(d->message, sizeof d->message, "%s", why);
	longjmp(d->failed, 1);
}

// on_message turns two warnings into errors, because they mean missing image data, which libjpeg
// fills with gray: bits that were needed and absent (HIT_MARKER), and the end of the file where
// more scans may have followed (JPEG_EOF with needs_end). In an image of one scan a missing end
// marker loses nothing. All other warnings are ignored, as in Pillow.
static void on_message(j_common_ptr jpeg, int level) {
	cijepa_decoder *d = jpeg->client_data;
	int code = jpeg->err->msg_code;
	if (level < 0 && (code == JWRN_HIT_MARKER || (code == JWRN_JPEG_EOF && d->needs_end)))
		on_error(jpeg);
}

static void no_output(j_common_ptr jpeg) { (void)jpeg; }

static void on_progress(j_common_ptr jpeg) {
	if (((j_decompress_ptr)jpeg)->input_scan_number > max_scans)
		fail(jpeg->client_data, "the image has too many scans");
}

cijepa_decoder *cijepa_decoder_new(void) { return calloc(1, sizeof(cijepa_decoder)); }

void cijepa_decoder_free(cijepa_decoder *d) {
	cijepa_resizer_free(&d->resizer);
	free(d->pixels);
	free(d);
}

const char *cijepa_error(const cijepa_decoder *d) { return d->message; }

#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)

const char *cijepa_libjpeg_version(void) { return TEXT_OF(LIBJPEG_TURBO_VERSION); }

// open_image creates a libjpeg object and reads the header. The object is new for every image,
// because an old one would supply its tables to an image that lacks them.
static void open_image(cijepa_decoder *d, const uint8_t *data, size_t n) {
	j_decompress_ptr jpeg = &d->jpeg;
	d->message[0] = 0;
	d->needs_end = 0;
	jpeg->err = jpeg_std_error(&d->errors);
	d->errors.error_exit = on_error;
	d->errors.emit_message = on_message;
	d->errors.output_message = no_output;
	jpeg->client_data = d;
	jpeg_create_decompress(jpeg);
	d->progress.progress_monitor = on_progress;
	jpeg->progress = &d->progress;
	jpeg_mem_src(jpeg, data, n);
	jpeg_read_header(jpeg, TRUE);
}

// close_image frees the libjpeg object and returns failed.
static int close_image(cijepa_decoder *d, int failed) {
	jpeg_destroy_decompress(&d->jpeg);
	return failed;
}

// start_decoding starts decoding into four bytes a pixel: RGBX or CMYK.
static void start_decoding(cijepa_decoder *d) {
	j_decompress_ptr jpeg = &d->jpeg;
	int several = jpeg_has_multiple_scans(jpeg);
	d->needs_end = several || jpeg->arith_code; // the arithmetic decoder never reports HIT_MARKER
	if (several) {
		size_t bytes = 0;
		for (int i = 0; i < jpeg->num_components; i++)
			bytes += (size_t)jpeg->comp_info[i].width_in_blocks * jpeg->comp_info[i].height_in_blocks * sizeof(JBLOCK);
		if (bytes > max_coefficient_bytes)
			fail(d, "the image has several scans and too many pixels to keep them all");
	}
	jpeg->out_color_space = jpeg->num_components == 4 ? JCS_CMYK : JCS_EXT_RGBX;
	jpeg_start_decompress(jpeg);
}

// row_buffer returns memory for rows_at_once rows of width pixels, each with padding bytes after
// it.
static uint8_t *row_buffer(cijepa_decoder *d, int width, size_t padding, size_t *stride) {
	*stride = (4 * (size_t)width + padding + 63) & ~(size_t)63;
	size_t need = *stride * rows_at_once;
	if (need > d->pixels_size) {
		free(d->pixels);
		d->pixels_size = 0;
		d->pixels = aligned_alloc(64, need);
		if (d->pixels == NULL)
			fail(d, "no memory for rows");
		d->pixels_size = need;
	}
	return d->pixels;
}

// cmyk_to_rgb converts a row in place. JPEG files hold inverted CMYK, so a channel is
// black * ink / 255, rounded as Pillow rounds.
static void cmyk_to_rgb(uint8_t *row, int width) {
	for (; width > 0; width--, row += 4) {
		int light = row[3];
		for (int c = 0; c < 3; c++) {
			int m = (255 - row[c]) * light + 128;
			int left = light - (((m >> 8) + m) >> 8);
			row[c] = left < 0 ? 0 : left;
		}
	}
}

// read_rows decodes the next n <= rows_at_once rows to pixels.
static void read_rows(cijepa_decoder *d, uint8_t *pixels, size_t stride, int n) {
	j_decompress_ptr jpeg = &d->jpeg;
	JSAMPROW rows[rows_at_once];
	for (int i = 0; i < n; i++)
		rows[i] = pixels + stride * i;
	for (int got = 0; got < n;) {
		int more = jpeg_read_scanlines(jpeg, rows + got, n - got);
		if (more == 0)
			fail(d, "the image ends before its last row");
		got += more;
	}
	if (jpeg->out_color_space == JCS_CMYK)
		for (int i = 0; i < n; i++)
			cmyk_to_rgb(rows[i], jpeg->output_width);
}

int cijepa_jpeg_size(cijepa_decoder *d, const uint8_t *data, size_t n, int *width, int *height) {
	if (setjmp(d->failed))
		return close_image(d, 1);
	open_image(d, data, n);
	*width = d->jpeg.image_width;
	*height = d->jpeg.image_height;
	return close_image(d, 0);
}

int cijepa_jpeg_verify(cijepa_decoder *d, const uint8_t *data, size_t n) {
	if (setjmp(d->failed))
		return close_image(d, 1);
	open_image(d, data, n);
	start_decoding(d);
	size_t stride;
	uint8_t *pixels = row_buffer(d, d->jpeg.output_width, 0, &stride);
	for (int height = d->jpeg.output_height, y = 0; y < height; y += rows_at_once)
		read_rows(d, pixels, stride, height - y < rows_at_once ? height - y : rows_at_once);
	return close_image(d, 0);
}

// decode_region decodes and resizes a region of an image whose header has been read.
static void decode_region(cijepa_decoder *d, const cijepa_cut *c) {
	j_decompress_ptr jpeg = &d->jpeg;
	start_decoding(d);
	int width = jpeg->output_width, height = jpeg->output_height;
	if (c->left < 0 || c->top < 0 || c->width < 1 || c->height < 1 ||
	    c->left > width - c->width || c->top > height - c->height)
		fail(d, "the region lies outside of the image");
	JDIMENSION left = 0, columns = width;
	int skipped = 0;
	if (!c->whole) {
		// libjpeg smooths a progressive image that lacks its last refinement scans, and reads
		// further than the margin for it.
		if (!jpeg->progressive_mode) {
			int begin = c->left > margin ? c->left - margin : 0;
			int end = c->left + c->width + margin < width ? c->left + c->width + margin : width;
			left = begin;
			columns = end - begin;
			if (end - begin < width)
				jpeg_crop_scanline(jpeg, &left, &columns);
		}
		// One skip, from the first row: libjpeg-turbo had bugs in skips that begin inside a row of
		// blocks.
		if (c->top > 0)
			jpeg_skip_scanlines(jpeg, c->top);
		skipped = c->top;
	}
	size_t stride;
	uint8_t *pixels = row_buffer(d, columns, cijepa_row_padding(c), &stride);
	for (int y = skipped, bottom = c->top + c->height; y < bottom;) {
		// Rows above the region are read only with c->whole, in steps that end where the region
		// begins.
		int end = y < c->top ? c->top : bottom;
		int n = end - y < rows_at_once ? end - y : rows_at_once;
		read_rows(d, pixels, stride, n);
		if (y >= c->top)
			cijepa_resizer_push(&d->resizer, pixels + 4 * (c->left - (int)left), stride, n);
		y += n;
	}
}

int cijepa_jpeg_cut(cijepa_decoder *d, const uint8_t *data, size_t n, const cijepa_cut *c,
                    const int32_t *horizontal, const int32_t *vertical, uint8_t *out) {
	if (setjmp(d->failed))
		return close_image(d, 1);
	open_image(d, data, n);
	if (cijepa_resizer_begin(&d->resizer, c, horizontal, vertical, out))
		fail(d, "no memory for the resize");
	decode_region(d, c);
	return close_image(d, 0);
}

int cijepa_resize(cijepa_decoder *d, const uint8_t *rgbx, size_t stride, const cijepa_cut *c,
                  const int32_t *horizontal, const int32_t *vertical, uint8_t *out) {
	if (cijepa_resizer_begin(&d->resizer, c, horizontal, vertical, out)) {
		snprintf(d->message, sizeof d->message, "no memory for the resize");
		return 1;
	}
	cijepa_resizer_push(&d->resizer, rgbx, stride, c->height);
	return 0;
}
