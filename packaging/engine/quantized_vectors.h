// Vectors of the processor that a library is for: AVX2 with eight columns side by side, AVX-512 with sixteen.
#pragma once
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

namespace hearth {
namespace { // each library has its own: they are compiled for different processors

#if defined(__AVX512F__) && defined(__AVX512BW__)
constexpr int COLUMNS = 16, MOST_TOKENS = 16; // of a tile
using ints = __m512i;
using floats = __m512;

inline ints same(int32_t value) { return _mm512_set1_epi32(value); }
inline floats same(float value) { return _mm512_set1_ps(value); }
inline floats to_floats(ints from) { return _mm512_cvtepi32_ps(from); }
inline floats times(floats a, floats b) { return _mm512_mul_ps(a, b); }
inline floats times_plus(floats a, floats b, floats c) { return _mm512_fmadd_ps(a, b, c); }
inline floats minus(floats a, floats b) { return _mm512_sub_ps(a, b); }
inline ints plus(ints a, ints b) { return _mm512_add_epi32(a, b); }
inline ints minus(ints a, ints b) { return _mm512_sub_epi32(a, b); }
inline ints times(ints a, ints b) { return _mm512_mullo_epi32(a, b); }
template <int BITS> inline ints shifted(ints from) { return _mm512_slli_epi32(from, BITS); }

// Each two numbers of 16 bits.
inline ints pairs_plus(ints a, ints b, ints sum) {
#ifdef __AVX512VNNI__
    return _mm512_dpwssd_epi32(sum, a, b);
#else
    return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
#endif
}
inline ints joined(ints low, ints high) { return _mm512_mask_blend_epi16(0xAAAAAAAA, low, shifted<16>(high)); }

// Of N groups of columns, at the same place in each: N = 2 of eight columns, N = 4 of four.
inline __m128i two_eights(const uint8_t * first, const uint8_t * second) { // of bytes
    return _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *) first), _mm_loadl_epi64((const __m128i *) second));
}
inline floats halves(const uint8_t * const (&of)[2], size_t at) {
    const __m128i low = _mm_loadu_si128((const __m128i *) (of[0] + at));
    return _mm512_cvtph_ps(_mm256_set_m128i(_mm_loadu_si128((const __m128i *) (of[1] + at)), low));
}
inline floats halves(const uint8_t * const (&of)[4], size_t at) {
    const __m128i low = two_eights(of[0] + at, of[1] + at);
    return _mm512_cvtph_ps(_mm256_set_m128i(two_eights(of[2] + at, of[3] + at), low));
}
inline ints bytes(const uint8_t * from) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *) from)); }
inline ints columns_bytes(const uint8_t * const (&of)[2], size_t at) {
    return _mm512_cvtepu8_epi32(two_eights(of[0] + at, of[1] + at));
}
inline ints columns_signed_bytes(const uint8_t * const (&of)[2], size_t at) {
    return _mm512_cvtepi8_epi32(two_eights(of[0] + at, of[1] + at));
}

// Eight bytes of each column as two vectors.
inline void split_columns(ints first, ints second, ints * to) {
    const ints even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const ints odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    to[0] = _mm512_permutex2var_epi32(first, even, second);
    to[1] = _mm512_permutex2var_epi32(first, odd, second);
}
inline void load_columns(const uint8_t * const (&of)[2], size_t at, ints * to) {
    split_columns(_mm512_loadu_si512(of[0] + at), _mm512_loadu_si512(of[1] + at), to);
}
inline void load_columns(const uint8_t * const (&of)[4], size_t at, ints * to) {
    ints two[2];
    for (int i = 0; i < 2; i++) {
        const __m256i low = _mm256_loadu_si256((const __m256i *) (of[i * 2] + at));
        const __m256i high = _mm256_loadu_si256((const __m256i *) (of[i * 2 + 1] + at));
        two[i] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }
    split_columns(two[0], two[1], to);
}

// 2^(from - 128) of F32; what is smaller than a normal number is 0.
inline floats half_powers(ints from) {
    return _mm512_castsi512_ps(shifted<23>(_mm512_max_epi32(_mm512_sub_epi32(from, same(1)), same(0))));
}
inline ints looked_up(__m128i table, ints from) { // bytes below 16
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), from);
}
inline ints low_bits(ints from, int flip) { // (from ^ flip) & 15
    return _mm512_ternarylogic_epi32(from, _mm512_set1_epi8((char) flip), _mm512_set1_epi8(15), 0x28);
}
inline ints high_bits(ints from, int flip) { return low_bits(_mm512_srli_epi16(from, 4), flip); }
inline ints with_bits(ints from, ints bits, int left, int mask) { // from | (bits << left & mask); right if negative
    const ints moved = _mm512_rolv_epi32(bits, _mm512_set1_epi32(left));
    return _mm512_ternarylogic_epi32(from, moved, _mm512_set1_epi8((char) mask), 0xF8);
}

#ifdef __AVX512VNNI__
#define HEARTH_FOURS
inline ints fours_plus(ints weights, ints values, ints sum) { return _mm512_dpbusd_epi32(sum, weights, values); }
inline ints flipped(ints from, int flip) { return _mm512_xor_si512(from, _mm512_set1_epi8((char) flip)); }
#else
inline ints pairs(ints weights, ints values) { return _mm512_maddubs_epi16(weights, values); }
inline ints short_plus(ints a, ints b) { return _mm512_add_epi16(a, b); }
inline ints without_sign(ints from) { return _mm512_abs_epi8(from); }
inline ints with_sign(ints values, ints of) {
    return _mm512_mask_sub_epi8(values, _mm512_movepi8_mask(of), _mm512_setzero_si512(), values);
}
#endif

inline void store(float * to, floats values, int columns) {
    _mm512_mask_storeu_ps(to, (__mmask16) ((1u << columns) - 1), values);
}
#else
constexpr int COLUMNS = 8, MOST_TOKENS = 4; // of a tile
using ints = __m256i;
using floats = __m256;

inline ints same(int32_t value) { return _mm256_set1_epi32(value); }
inline floats same(float value) { return _mm256_set1_ps(value); }
inline floats to_floats(ints from) { return _mm256_cvtepi32_ps(from); }
inline floats times(floats a, floats b) { return _mm256_mul_ps(a, b); }
inline floats times_plus(floats a, floats b, floats c) { return _mm256_fmadd_ps(a, b, c); }
inline floats minus(floats a, floats b) { return _mm256_sub_ps(a, b); }
inline ints plus(ints a, ints b) { return _mm256_add_epi32(a, b); }
inline ints minus(ints a, ints b) { return _mm256_sub_epi32(a, b); }
inline ints times(ints a, ints b) { return _mm256_mullo_epi32(a, b); }
template <int BITS> inline ints shifted(ints from) { return _mm256_slli_epi32(from, BITS); }

inline ints pairs_plus(ints a, ints b, ints sum) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
inline ints joined(ints low, ints high) { return _mm256_blend_epi16(low, shifted<16>(high), 0xAA); }

// Of N groups of columns, at the same place in each: N = 1 of eight columns, N = 2 of four.
inline floats halves(const uint8_t * const (&of)[1], size_t at) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) (of[0] + at)));
}
inline floats halves(const uint8_t * const (&of)[2], size_t at) {
    const __m128i low = _mm_loadl_epi64((const __m128i *) (of[0] + at));
    return _mm256_cvtph_ps(_mm_unpacklo_epi64(low, _mm_loadl_epi64((const __m128i *) (of[1] + at))));
}
inline ints bytes(const uint8_t * from) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *) from)); }
inline ints columns_bytes(const uint8_t * const (&of)[1], size_t at) { return bytes(of[0] + at); }
inline ints columns_signed_bytes(const uint8_t * const (&of)[1], size_t at) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *) (of[0] + at)));
}

// Eight bytes of each column as two vectors.
inline void load_columns(const uint8_t * first, const uint8_t * second, ints * to) { // of columns 0 to 3 and 4 to 7
    const __m128i *low = (const __m128i *) first, *high = (const __m128i *) second;
    const __m256 a = _mm256_castsi256_ps(_mm256_loadu2_m128i(high, low));
    const __m256 b = _mm256_castsi256_ps(_mm256_loadu2_m128i(high + 1, low + 1));
    to[0] = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88));
    to[1] = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xDD));
}
inline void load_columns(const uint8_t * const (&of)[1], size_t at, ints * to) {
    load_columns(of[0] + at, of[0] + at + 32, to);
}
inline void load_columns(const uint8_t * const (&of)[2], size_t at, ints * to) {
    load_columns(of[0] + at, of[1] + at, to);
}

// 2^(from - 128) of F32; what is smaller than a normal number is 0.
inline floats half_powers(ints from) {
    return _mm256_castsi256_ps(shifted<23>(_mm256_max_epi32(_mm256_sub_epi32(from, same(1)), same(0))));
}
inline ints looked_up(__m128i table, ints from) { // bytes below 16
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), from);
}
inline ints low_bits(ints from, int flip) {
    return _mm256_and_si256(_mm256_xor_si256(from, _mm256_set1_epi8((char) flip)), _mm256_set1_epi8(15));
}
inline ints high_bits(ints from, int flip) { return low_bits(_mm256_srli_epi16(from, 4), flip); }
inline ints with_bits(ints from, ints bits, int left, int mask) { // from | (bits << left & mask); right if negative
    const ints moved = left < 0 ? _mm256_srl_epi32(bits, _mm_cvtsi32_si128(-left))
                                : _mm256_sll_epi32(bits, _mm_cvtsi32_si128(left));
    return _mm256_or_si256(from, _mm256_and_si256(moved, _mm256_set1_epi8((char) mask)));
}

#if defined(__AVXVNNI__)
#define HEARTH_FOURS
inline ints fours_plus(ints weights, ints values, ints sum) {
    return _mm256_dpbusd_avx_epi32(sum, weights, values);
}
inline ints flipped(ints from, int flip) { return _mm256_xor_si256(from, _mm256_set1_epi8((char) flip)); }
#else
inline ints pairs(ints weights, ints values) { return _mm256_maddubs_epi16(weights, values); }
inline ints short_plus(ints a, ints b) { return _mm256_add_epi16(a, b); }
inline ints without_sign(ints from) { return _mm256_abs_epi8(from); }
inline ints with_sign(ints values, ints of) { return _mm256_sign_epi8(values, of); }
#endif

inline void store(float * to, floats values, int columns) {
    if (columns < COLUMNS) { // four
        _mm_storeu_ps(to, _mm256_castps256_ps128(values));
    } else {
        _mm256_storeu_ps(to, values);
    }
}
#endif
} // namespace
} // namespace hearth
