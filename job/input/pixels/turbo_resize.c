//go:build cgo

// Pillow's resize of 8-bit images (Resample.c): weights with 22 fractional bits, a horizontal pass
// rounded to bytes, then a vertical one. Both passes exist twice, in plain C and for AVX2, with the
// same sums to the last bit.

#include <stdlib.h>
#include <string.h>

#include "turbo.h"

enum { precision = 22, half = 1 << (precision - 1) };

// clip drops the fractional bits of a sum and clamps it to a byte.
static uint8_t clip(int32_t sum) {
	sum >>= precision;
	return sum < 0 ? 0 : sum > 255 ? 255 : sum;
}

// horizontal_scalar resizes a row of RGBX pixels to RGB triples.
static void horizontal_scalar(const cijepa_resizer *r, const uint8_t *rgbx, uint8_t *to) {
	const int32_t *taps = r->horizontal;
	for (int x = 0; x < r->size; x++, taps += r->horizontal_stride, to += 3) {
		const uint8_t *p = rgbx + 4 * (size_t)taps[0];
		int32_t red = half, green = half, blue = half;
		for (int i = 0; i < taps[1]; i++, p += 4) {
			red += p[0] * taps[2 + i];
			green += p[1] * taps[2 + i];
			blue += p[2] * taps[2 + i];
		}
		to[0] = clip(red);
		to[1] = clip(green);
		to[2] = clip(blue);
	}
}

// vertical_scalar writes one output row: the weighted sum of rows.
static void vertical_scalar(const cijepa_resizer *r, const uint8_t *rows, const int32_t *taps, uint8_t *to) {
	for (int x = 0; x < 3 * r->size; x++) {
		const uint8_t *p = rows + x;
		int32_t sum = half;
		for (int i = 0; i < taps[1]; i++, p += r->pitch)
			sum += *p * taps[2 + i];
		to[x] = clip(sum);
	}
}

#if defined(__x86_64__)

#include <immintrin.h>

// A weight of 24 bits is split in two, weight = high * 2^11 + low, and both are multiplied by the
// byte: pmaddwd, which multiplies pairs of 16-bit numbers and adds the products, is several times
// faster than a 32-bit multiplication. Nothing overflows, so the sums equal those of 32-bit
// arithmetic.
enum { low_bits = 11, low_mask = (1 << low_bits) - 1 };

// pack_weights copies a table of coefficients for pmaddwd. Four weights a, b, c, d become four
// pairs of 16-bit numbers: the high parts of a and b, of c and d, the low parts of a and b, of c
// and d.
static void pack_weights(int32_t *to, const int32_t *taps, int stride, int rows) {
	for (; rows > 0; rows--, taps += stride, to += stride) {
		to[0] = taps[0];
		to[1] = taps[1];
		for (int i = 2; i < stride; i += 4)
			for (int k = 0; k < 2; k++) {
				uint32_t a = taps[i + 2 * k], b = taps[i + 2 * k + 1];
				to[i + k] = (a >> low_bits & 0xffff) | b >> low_bits << 16;
				to[i + 2 + k] = (a & low_mask) | (b & low_mask) << 16;
			}
	}
}

#define AVX2 __attribute__((target("avx2")))

// combine adds the sums of high and low parts and drops the fractional bits.
AVX2 static inline __m256i combine(__m256i high, __m256i low) {
	return _mm256_srai_epi32(_mm256_add_epi32(_mm256_slli_epi32(high, low_bits), low), precision);
}

static inline void store4(uint8_t *to, int32_t bytes) { memcpy(to, &bytes, 4); }

// horizontal_avx2 resizes four rows at a time, which share the weights. All output pixels take the
// same number of taps, a multiple of four, because a varying count mispredicts branches. Surplus
// weights are zero, and their pixels may lie in the padding. A pixel is stored with a fourth byte,
// which the next pixel overwrites.
AVX2 static void horizontal_avx2(const cijepa_resizer *r, const uint8_t *const rgbx[4], uint8_t *const to[4]) {
	// Shuffles of four pixels of a row: the first two, or the last two, as red and red, green and
	// green, ..., 16 bits each. The two halves of a register hold different rows.
#define PAIRS(i) i, -1, i + 4, -1, i + 1, -1, i + 5, -1, i + 2, -1, i + 6, -1, i + 3, -1, i + 7, -1
	const __m256i first = _mm256_setr_epi8(PAIRS(0), PAIRS(0)), last = _mm256_setr_epi8(PAIRS(8), PAIRS(8));
#undef PAIRS
	const __m256i rounding = _mm256_set1_epi32(half), zero = _mm256_setzero_si256();
	uint8_t *const to0 = to[0], *const to1 = to[1], *const to2 = to[2], *const to3 = to[3];
	const int32_t *taps = r->horizontal, weights = r->horizontal_stride - 2;
	for (int x = 0; x < r->size; x++, taps += r->horizontal_stride) {
		size_t begin = 4 * (size_t)taps[0];
		const uint8_t *p0 = rgbx[0] + begin, *p1 = rgbx[1] + begin, *p2 = rgbx[2] + begin, *p3 = rgbx[3] + begin;
		__m256i high01 = zero, high23 = zero, low01 = rounding, low23 = rounding;
		for (int i = 0; i < weights; i += 4) {
			const int32_t *packed = taps + 2 + i;
			__m256i high_first = _mm256_set1_epi32(packed[0]), high_last = _mm256_set1_epi32(packed[1]);
			__m256i low_first = _mm256_set1_epi32(packed[2]), low_last = _mm256_set1_epi32(packed[3]);
#define ROWS(p, q, high, low)                                                                                          \
	{                                                                                                                  \
		__m256i both = _mm256_loadu2_m128i((const __m128i *)(q + 4 * i), (const __m128i *)(p + 4 * i));                \
		__m256i a = _mm256_shuffle_epi8(both, first), b = _mm256_shuffle_epi8(both, last);                             \
		high = _mm256_add_epi32(high, _mm256_add_epi32(_mm256_madd_epi16(a, high_first), _mm256_madd_epi16(b, high_last))); \
		low = _mm256_add_epi32(low, _mm256_add_epi32(_mm256_madd_epi16(a, low_first), _mm256_madd_epi16(b, low_last))); \
	}
			ROWS(p0, p1, high01, low01)
			ROWS(p2, p3, high23, low23)
#undef ROWS
		}
		__m256i words = _mm256_packs_epi32(combine(high01, low01), combine(high23, low23));
		__m256i bytes = _mm256_packus_epi16(words, words);
		__m128i even = _mm256_castsi256_si128(bytes), odd = _mm256_extracti128_si256(bytes, 1);
		store4(to0 + 3 * x, _mm_cvtsi128_si32(even));
		store4(to1 + 3 * x, _mm_cvtsi128_si32(odd));
		store4(to2 + 3 * x, _mm_extract_epi32(even, 1));
		store4(to3 + 3 * x, _mm_extract_epi32(odd, 1));
	}
}

// vertical_avx2 adds two rows at a time, 32 bytes of each. After an odd last row the weight is
// zero, and one more row may be read.
AVX2 static void vertical_avx2(const cijepa_resizer *r, const uint8_t *rows, const int32_t *taps, uint8_t *to) {
	const __m256i zero = _mm256_setzero_si256(), rounding = _mm256_set1_epi32(half);
	const int bytes = 3 * r->size;
	for (int x = 0; x < bytes; x += 32) {
		const uint8_t *p = rows + x;
		__m256i h0 = zero, h1 = zero, h2 = zero, h3 = zero, l0 = rounding, l1 = rounding, l2 = rounding, l3 = rounding;
		for (int i = 0; i < taps[1]; i += 2, p += 2 * r->pitch) {
			const int32_t *packed = taps + 2 + (i & ~3) + (i >> 1 & 1);
			__m256i a = _mm256_loadu_si256((const __m256i *)p), b = _mm256_loadu_si256((const __m256i *)(p + r->pitch));
			__m256i high = _mm256_set1_epi32(packed[0]), low = _mm256_set1_epi32(packed[2]);
			__m256i left = _mm256_unpacklo_epi8(a, b), right = _mm256_unpackhi_epi8(a, b);
#define PART(v, h, l)                                                                                                  \
	{                                                                                                                  \
		__m256i part = v;                                                                                              \
		h = _mm256_add_epi32(h, _mm256_madd_epi16(part, high));                                                        \
		l = _mm256_add_epi32(l, _mm256_madd_epi16(part, low));                                                         \
	}
			PART(_mm256_unpacklo_epi8(left, zero), h0, l0)
			PART(_mm256_unpackhi_epi8(left, zero), h1, l1)
			PART(_mm256_unpacklo_epi8(right, zero), h2, l2)
			PART(_mm256_unpackhi_epi8(right, zero), h3, l3)
#undef PART
		}
		__m256i v = _mm256_packus_epi16(_mm256_packs_epi32(combine(h0, l0), combine(h1, l1)),
		                                _mm256_packs_epi32(combine(h2, l2), combine(h3, l3)));
		if (x + 32 <= bytes) {
			_mm256_storeu_si256((__m256i *)(to + x), v);
		} else {
			uint8_t rest[32];
			_mm256_storeu_si256((__m256i *)rest, v);
			memcpy(to + x, rest, bytes - x);
		}
	}
}

int cijepa_has_avx2(void) { return __builtin_cpu_supports("avx2") != 0; }

#else

static void pack_weights(int32_t *to, const int32_t *taps, int stride, int rows) {
	memcpy(to, taps, sizeof(int32_t) * stride * rows);
}

static void horizontal_avx2(const cijepa_resizer *r, const uint8_t *const rgbx[4], uint8_t *const to[4]) {
	for (int i = 0; i < 4; i++)
		horizontal_scalar(r, rgbx[i], to[i]);
}

static void vertical_avx2(const cijepa_resizer *r, const uint8_t *rows, const int32_t *taps, uint8_t *to) {
	vertical_scalar(r, rows, taps, to);
}

int cijepa_has_avx2(void) { return 0; }

#endif

// grow makes *memory at least need bytes large and discards its content. It returns 1 if there is
// no memory, else 0.
static int grow(void **memory, size_t *size, size_t need) {
	if (need <= *size)
		return 0;
	free(*memory);
	*size = 0;
	*memory = aligned_alloc(64, (need + 63) & ~(size_t)63);
	if (*memory == NULL)
		return 1;
	*size = need;
	return 0;
}

int cijepa_resizer_begin(cijepa_resizer *r, const cijepa_cut *cut,
                         const int32_t *horizontal, const int32_t *vertical, uint8_t *out) {
	r->horizontal = horizontal;
	r->vertical = vertical;
	r->horizontal_stride = cut->horizontal_stride;
	r->vertical_stride = cut->vertical_stride;
	r->size = cut->size;
	r->vector = !cut->scalar && cijepa_has_avx2();
	r->out = out;
	r->first = r->count = r->next = 0;
	// The vertical pass reads 32 bytes at a time; the horizontal one writes one byte past the last
	// pixel.
	r->pitch = (3 * (size_t)cut->size + 1 + 31) & ~(size_t)31;
	// Twice the rows that an output row needs, so that rows are moved seldom, and some more that
	// arrive together. One more row is allocated, because it may be read for a weight of zero.
	r->capacity = 2 * (cut->vertical_stride - 2) + 16;
	if (grow((void **)&r->rows, &r->rows_size, r->pitch * (r->capacity + 1)))
		return 1;
	if (r->vector) {
		size_t wide = (size_t)cut->horizontal_stride * cut->size, high = (size_t)cut->vertical_stride * cut->size;
		if (grow((void **)&r->packed, &r->packed_size, sizeof(int32_t) * (wide + high)))
			return 1;
		pack_weights(r->packed, horizontal, cut->horizontal_stride, cut->size);
		pack_weights(r->packed + wide, vertical, cut->vertical_stride, cut->size);
		r->horizontal = r->packed;
		r->vertical = r->packed + wide;
	}
	return 0;
}

// write_rows writes all output rows whose source rows are complete.
static void write_rows(cijepa_resizer *r) {
	for (; r->next < r->size; r->next++) {
		const int32_t *taps = r->vertical + (size_t)r->vertical_stride * r->next;
		if (taps[0] + taps[1] > r->first + r->count)
			return;
		const uint8_t *rows = r->rows + r->pitch * (taps[0] - r->first);
		uint8_t *to = r->out + (size_t)3 * r->size * r->next;
		if (r->vector)
			vertical_avx2(r, rows, taps, to);
		else
			vertical_scalar(r, rows, taps, to);
	}
}

// discard_rows discards the rows that no later output row needs.
static void discard_rows(cijepa_resizer *r) {
	int needed = r->first + r->count;
	if (r->next < r->size && r->vertical[(size_t)r->vertical_stride * r->next] < needed)
		needed = r->vertical[(size_t)r->vertical_stride * r->next];
	int drop = needed - r->first;
	memmove(r->rows, r->rows + r->pitch * drop, r->pitch * (r->count - drop));
	r->first += drop;
	r->count -= drop;
}

void cijepa_resizer_push(cijepa_resizer *r, const uint8_t *rgbx, size_t stride, int n) {
	while (n > 0) {
		if (r->count + 4 > r->capacity)
			discard_rows(r);
		uint8_t *to = r->rows + r->pitch * r->count;
		int made = n < 4 ? n : 4;
		if (r->vector) {
			const uint8_t *from4[4];
			uint8_t *to4[4];
			for (int i = 0; i < 4; i++) { // fewer than four: repeat the last one
				int row = i < made ? i : made - 1;
				from4[i] = rgbx + stride * row;
				to4[i] = to + r->pitch * row;
			}
			horizontal_avx2(r, from4, to4);
		} else {
			for (int i = 0; i < made; i++)
				horizontal_scalar(r, rgbx + stride * i, to + r->pitch * i);
		}
		r->count += made;
		rgbx += stride * made;
		n -= made;
		write_rows(r);
	}
}

void cijepa_resizer_free(cijepa_resizer *r) {
	free(r->rows);
	free(r->packed);
}
