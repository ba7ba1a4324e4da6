// Products of quantized weights with one token and with many. Included before every C++ file by the option -include.
//
// ggml repacks Q4_0 and Q4_K so that eight columns lie side by side, and has kernels for AVX2 and AVX-512 that spend
// most of their time on other things than products: both factors change their signs, and the tokens' values are
// shuffled for every tile. Here weights stay as they are stored, from 0 to 15 (what Q4_0 takes from them comes back
// once per token and block), four values of a token meet all columns by one broadcast load, and a tile of weights is
// unpacked once for up to 16 tokens.
//
// The sums of a block are whole numbers, and floats are added in the order of ggml's kernels for one token: a token
// gets their results bit for bit, alone or beside others (ggml's own kernels for several add Q4_K in another order).
#if defined(__cplusplus) && defined(__has_include) && defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#if __has_include("repack.h") // a file of ggml's for the processor
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace hearth {
namespace { // each library has its own: they are compiled for different processors

// As ggml keeps them (ggml-common.h, repack.h); those headers must not be included before a file has chosen how. `four`
// tokens or eight columns lie side by side, eight bytes of each in turn.
struct one_q8_0 {
    uint16_t d; // F16
    int8_t qs[32];
};
struct four_q8_0 {
    uint16_t d[4];
    int8_t qs[4 * 32];
};
struct one_q8_K {
    float d;
    int8_t qs[256];
    int16_t bsums[16]; // of 16 values
};
struct four_q8_K {
    float d[4];
    int8_t qs[4 * 256];
    int16_t bsums[4 * 16]; // of the first 64 values of each token, then of the next
};
struct eight_q4_0 {
    uint16_t d[8];
    uint8_t qs[8 * 16]; // value i is in the lower half of byte i, value 16 + i in the upper
};
struct eight_q4_K {
    uint16_t d[8], dmin[8];
    uint8_t scales[8 * 12];
    uint8_t qs[8 * 128];
};

constexpr int MOST_LENGTH = 1 << 15; // of a token's values: what is prepared of them lies on the stack

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

// Each two numbers of 16 bits.
inline ints pairs_plus(ints a, ints b, ints sum) {
#ifdef __AVX512VNNI__
    return _mm512_dpwssd_epi32(sum, a, b);
#else
    return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
#endif
}
inline ints joined(ints low, ints high) { return _mm512_or_si512(low, _mm512_slli_epi32(high, 16)); }

inline floats halves(const uint16_t * first, const uint16_t * second) {
    const __m128i low = _mm_loadu_si128((const __m128i *) first), high = _mm_loadu_si128((const __m128i *) second);
    return _mm512_cvtph_ps(_mm256_set_m128i(high, low));
}
inline ints bytes(const uint8_t * from) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *) from));
}

// Eight numbers of 4 bits of each column, of eight columns in `first` and eight in `second`, as two vectors.
inline void load_columns(const void * first, const void * second, ints * to) {
    const ints even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const ints odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    const ints a = _mm512_loadu_si512(first), b = _mm512_loadu_si512(second);
    to[0] = _mm512_permutex2var_epi32(a, even, b);
    to[1] = _mm512_permutex2var_epi32(a, odd, b);
}
inline ints low_bits(ints from, int flip) { // (from ^ flip) & 15
    return _mm512_ternarylogic_epi32(from, _mm512_set1_epi8((char) flip), _mm512_set1_epi8(15), 0x28);
}
inline ints high_bits(ints from, int flip) { return low_bits(_mm512_srli_epi16(from, 4), flip); }

#ifdef __AVX512VNNI__
#define HEARTH_FOURS
inline ints fours_plus(ints weights, ints values, ints sum) { return _mm512_dpbusd_epi32(sum, weights, values); }
#else
inline ints pairs(ints weights, ints values) { return _mm512_maddubs_epi16(weights, values); }
inline ints short_plus(ints a, ints b) { return _mm512_add_epi16(a, b); }
#endif
inline ints plus(ints a, ints b) { return _mm512_add_epi32(a, b); }
inline ints times(ints a, ints b) { return _mm512_mullo_epi32(a, b); }

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

inline ints pairs_plus(ints a, ints b, ints sum) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
inline ints joined(ints low, ints high) { return _mm256_or_si256(low, _mm256_slli_epi32(high, 16)); }

inline floats halves(const uint16_t * first, const uint16_t *) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) first));
}
inline ints bytes(const uint8_t * from) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *) from));
}

// Eight numbers of 4 bits of each of eight columns, as two vectors.
inline void load_columns(const void * first, const void *, ints * to) {
    const __m128i * from = (const __m128i *) first;
    const __m256 a = _mm256_castsi256_ps(_mm256_loadu2_m128i(from + 2, from));
    const __m256 b = _mm256_castsi256_ps(_mm256_loadu2_m128i(from + 3, from + 1));
    to[0] = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88));
    to[1] = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xDD));
}
inline ints low_bits(ints from, int flip) {
    return _mm256_and_si256(_mm256_xor_si256(from, _mm256_set1_epi8((char) flip)), _mm256_set1_epi8(15));
}
inline ints high_bits(ints from, int flip) { return low_bits(_mm256_srli_epi16(from, 4), flip); }

#if defined(__AVXVNNI__)
#define HEARTH_FOURS
inline ints fours_plus(ints weights, ints values, ints sum) {
    return _mm256_dpbusd_avx_epi32(sum, weights, values);
}
#else
inline ints pairs(ints weights, ints values) { return _mm256_maddubs_epi16(weights, values); }
inline ints short_plus(ints a, ints b) { return _mm256_add_epi16(a, b); }
#endif
inline ints plus(ints a, ints b) { return _mm256_add_epi32(a, b); }
inline ints times(ints a, ints b) { return _mm256_mullo_epi32(a, b); }

inline void store(float * to, floats values, int) { _mm256_storeu_ps(to, values); }
#endif

// 32 weights of each column with as many values of a token, which lie in eights, `stride` apart.
inline ints four_values(const int8_t * values, int stride, int number) {
    int32_t four;
    memcpy(&four, values + number / 2 * stride + number % 2 * 4, sizeof(four));
    return same(four);
}
#ifdef HEARTH_FOURS
inline ints scales(const uint8_t * from) { return bytes(from); }

inline ints dot(const ints * weights, const int8_t * values, int stride, ints sum) {
    for (int i = 0; i < 8; i++) {
        sum = fours_plus(weights[i], four_values(values, stride, i), sum);
    }
    return sum;
}
inline ints scaled_dot(const ints * weights, const int8_t * values, int stride, ints scales, ints sum) {
    return plus(sum, times(dot(weights, values, stride, same(0)), scales));
}
#undef HEARTH_FOURS
#else
inline ints scales(const uint8_t * from) { return joined(bytes(from), bytes(from)); }

// Sums of 16 bits: 8 * 2 * 15 * 127 is below 2^15.
inline ints short_dot(const ints * weights, const int8_t * values, int stride) {
    ints sum = same(0);
    for (int i = 0; i < 8; i++) {
        sum = short_plus(sum, pairs(weights[i], four_values(values, stride, i)));
    }
    return sum;
}
inline ints dot(const ints * weights, const int8_t * values, int stride, ints sum) {
    return pairs_plus(short_dot(weights, values, stride), same(0x00010001), sum);
}
inline ints scaled_dot(const ints * weights, const int8_t * values, int stride, ints scales, ints sum) {
    return pairs_plus(short_dot(weights, values, stride), scales, sum);
}
#endif

// Weights come from memory, and come sooner when they are asked for ahead. Measured from 0 to 4 KiB.
constexpr int AHEAD = 3072;      // bytes
constexpr int ASKING_TOKENS = 8; // more have so much to compute that the processor is ahead by itself

template <class Tokens, class Block> inline void ask_for(const Block * first, const Block * second) {
    for (size_t at = 0; at < sizeof(Block) && Tokens::TOKENS <= ASKING_TOKENS; at += 64) {
        _mm_prefetch((const char *) first + AHEAD + at, _MM_HINT_T0);
        if (COLUMNS > 8) {
            _mm_prefetch((const char *) second + AHEAD + at, _MM_HINT_T0);
        }
    }
}

// What is the same for all columns of a block of each token's values.
template <int TOKENS> struct prepared_q8_0 {
    float scale[TOKENS];
    int32_t start[TOKENS]; // the sum of the values times what each weight has too much
};
template <int TOKENS> struct prepared_q8_K {
    float scale[TOKENS];
    int32_t sums[4][TOKENS]; // each two sums of 32 values, of 16 bits
};

inline __m256i minus_eight_times(const void * values) { // eight sums of four
    const __m256i all = _mm256_loadu_si256((const __m256i *) values);
    return _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), all), _mm256_set1_epi16(-8));
}

struct one_token {
    static constexpr int STRIDE = 8, TOKENS = 1;

    static const int8_t * values(const one_q8_0 * from, int, int block, int) { return from[block].qs; }
    static const int8_t * values(const one_q8_K * from, int, int block, int) { return from[block].qs; }

    static void prepare(const one_q8_0 * from, int blocks, prepared_q8_0<TOKENS> * to) {
        for (int block = 0; block < blocks; block++) {
            const __m256i sums = minus_eight_times(from[block].qs);
            __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
            sum = _mm_hadd_epi32(sum, sum);
            to[block].start[0] = _mm_cvtsi128_si32(_mm_hadd_epi32(sum, sum));
            to[block].scale[0] = _cvtsh_ss(from[block].d);
        }
    }
    static void prepare(const one_q8_K * from, int blocks, prepared_q8_K<TOKENS> * to) {
        for (int block = 0; block < blocks; block++) {
            to[block].scale[0] = from[block].d;
            for (int i = 0; i < 4; i++) {
                const int16_t * sums = from[block].bsums + i * 4;
                to[block].sums[i][0] = (uint16_t) (sums[0] + sums[1]) | (uint32_t) (sums[2] + sums[3]) << 16;
            }
        }
    }
};

template <int FOURS> struct several_tokens {
    static constexpr int STRIDE = 32, TOKENS = FOURS * 4;

    template <class Block> static const int8_t * values(const Block * from, int blocks, int block, int token) {
        return from[(int64_t) (token / 4) * blocks + block].qs + token % 4 * 8;
    }
    static void prepare(const four_q8_0 * from, int blocks, prepared_q8_0<TOKENS> * to) {
        for (int four = 0; four < FOURS; four++) {
            for (int block = 0; block < blocks; block++) {
                const four_q8_0 & of = from[(int64_t) four * blocks + block];
                __m256i sums = minus_eight_times(of.qs);
                for (int i = 1; i < 4; i++) {
                    sums = _mm256_add_epi32(sums, minus_eight_times(of.qs + i * 32));
                }
                sums = _mm256_hadd_epi32(sums, sums);
                const __m128i start =
                    _mm_unpacklo_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
                _mm_storeu_si128((__m128i *) (to[block].start + four * 4), start);
                _mm_storeu_ps(to[block].scale + four * 4, _mm_cvtph_ps(_mm_loadl_epi64((const __m128i *) of.d)));
            }
        }
    }
    static void prepare(const four_q8_K * from, int blocks, prepared_q8_K<TOKENS> * to) {
        for (int token = 0; token < TOKENS; token++) {
            for (int block = 0; block < blocks; block++) {
                const four_q8_K & of = from[(int64_t) (token / 4) * blocks + block];
                to[block].scale[token] = of.d[token % 4];
                for (int i = 0; i < 4; i++) {
                    const int16_t * sums = of.bsums + i * 16 + token % 4 * 4;
                    to[block].sums[i][token] = (uint16_t) (sums[0] + sums[1]) | (uint32_t) (sums[2] + sums[3]) << 16;
                }
            }
        }
    }
};

struct q4_0 {
    static constexpr int LENGTH = 32;
    using weights = eight_q4_0;
    template <int TOKENS> using prepared = prepared_q8_0<TOKENS>;
    using one = one_q8_0;
    using four = four_q8_0;

    template <class Tokens, class Values>
    static inline void tile(const eight_q4_0 * first, const eight_q4_0 * second, const Values * values,
                            const prepared_q8_0<Tokens::TOKENS> * prepared, int blocks, float * to, size_t stride,
                            int columns) {
        floats sums[Tokens::TOKENS];
        for (floats & sum : sums) {
            sum = same(0.0f);
        }
        for (int block = 0; block < blocks; block++) {
            ask_for<Tokens>(first + block, second + block);
            ints unpacked[8];
            for (int i = 0; i < 4; i += 2) { // repacking has flipped the highest bits
                ints packed[2];
                load_columns(first[block].qs + i * 32, second[block].qs + i * 32, packed);
                for (int k = 0; k < 2; k++) {
                    unpacked[i + k] = low_bits(packed[k], 0x88);
                    unpacked[i + k + 4] = high_bits(packed[k], 0x88);
                }
            }
            const floats scale = halves(first[block].d, second[block].d);
            for (int token = 0; token < Tokens::TOKENS; token++) {
                const ints found = dot(unpacked, Tokens::values(values, blocks, block, token), Tokens::STRIDE,
                                       same(prepared[block].start[token]));
                const floats factor = times(scale, same(prepared[block].scale[token]));
                sums[token] = times_plus(to_floats(found), factor, sums[token]);
            }
        }
        for (int token = 0; token < Tokens::TOKENS; token++) {
            store(to + token * stride, sums[token], columns);
        }
    }
};

struct q4_K {
    static constexpr int LENGTH = 256;
    using weights = eight_q4_K;
    template <int TOKENS> using prepared = prepared_q8_K<TOKENS>;
    using one = one_q8_K;
    using four = four_q8_K;

    // Scales and minima of 32 values of eight columns, 6 bits each; columns 4 to 7 have their upper two beside 0 to 3.
    static inline void unpack_scales(const uint8_t * from, uint8_t * scales, uint8_t * minima) {
        uint32_t low, low_minima, rest;
        memcpy(&low, from, 4);
        memcpy(&low_minima, from + 4, 4);
        memcpy(&rest, from + 8, 4);
        const uint32_t all[4] = {
            low & 0x3F3F3F3F,
            (rest & 0x0F0F0F0F) | (low >> 2 & 0x30303030),
            low_minima & 0x3F3F3F3F,
            (rest >> 4 & 0x0F0F0F0F) | (low_minima >> 2 & 0x30303030),
        };
        memcpy(scales, all, 8);
        memcpy(minima, all + 2, 8);
    }

    template <class Tokens, class Values>
    static inline void tile(const eight_q4_K * first, const eight_q4_K * second, const Values * values,
                            const prepared_q8_K<Tokens::TOKENS> * prepared, int blocks, float * to, size_t stride,
                            int columns) {
        floats sums[Tokens::TOKENS], less[Tokens::TOKENS];
        for (int token = 0; token < Tokens::TOKENS; token++) {
            sums[token] = less[token] = same(0.0f);
        }
        for (int block = 0; block < blocks; block++) {
            ask_for<Tokens>(first + block, second + block);
            uint8_t all_scales[8][16], all_minima[8][16];
            for (int i = 0; i < 8; i++) {
                unpack_scales(first[block].scales + i * 12, all_scales[i], all_minima[i]);
                unpack_scales(second[block].scales + i * 12, all_scales[i] + 8, all_minima[i] + 8);
            }
            ints found[Tokens::TOKENS];
            for (ints & of : found) {
                of = same(0);
            }
            for (int i = 0; i < 8; i++) {
                ints unpacked[8];
                for (int k = 0; k < 8; k += 2) {
                    const int from = i / 2 * 256 + k * 32;
                    ints packed[2];
                    load_columns(first[block].qs + from, second[block].qs + from, packed);
                    unpacked[k] = i % 2 ? high_bits(packed[0], 0) : low_bits(packed[0], 0);
                    unpacked[k + 1] = i % 2 ? high_bits(packed[1], 0) : low_bits(packed[1], 0);
                }
                const ints scale = scales(all_scales[i]);
                for (int token = 0; token < Tokens::TOKENS; token++) {
                    const int8_t * of = Tokens::values(values, blocks, block, token) + i * 4 * Tokens::STRIDE;
                    found[token] = scaled_dot(unpacked, of, Tokens::STRIDE, scale, found[token]);
                }
            }
            const floats scale = halves(first[block].d, second[block].d);
            const floats least = halves(first[block].dmin, second[block].dmin);
            ints minima[4];
            for (int i = 0; i < 4; i++) {
                minima[i] = joined(bytes(all_minima[i * 2]), bytes(all_minima[i * 2 + 1]));
            }
            for (int token = 0; token < Tokens::TOKENS; token++) {
                ints of_minima = same(0);
                for (int i = 0; i < 4; i++) {
                    of_minima = pairs_plus(minima[i], same(prepared[block].sums[i][token]), of_minima);
                }
                const floats of = same(prepared[block].scale[token]);
                sums[token] = times_plus(to_floats(found[token]), times(scale, of), sums[token]);
                less[token] = times_plus(to_floats(of_minima), times(least, of), less[token]);
            }
        }
        for (int token = 0; token < Tokens::TOKENS; token++) {
            store(to + token * stride, minus(sums[token], less[token]), columns);
        }
    }
};

template <class Weights, class Tokens, class Values>
void columns_times(int blocks, float * to, size_t stride, const void * weights, const Values * values, int columns) {
    typename Weights::template prepared<Tokens::TOKENS> prepared[MOST_LENGTH / Weights::LENGTH];
    Tokens::prepare(values, blocks, prepared);
    for (int column = 0; column < columns; column += COLUMNS) {
        const auto * first = (const typename Weights::weights *) weights + (int64_t) (column / 8) * blocks;
        const int left = columns - column < COLUMNS ? columns - column : COLUMNS;
        Weights::template tile<Tokens>(first, left > 8 ? first + blocks : first, values, prepared, blocks, to + column,
                                       stride, left);
    }
}

template <class Weights>
void times_one(int length, float * to, const void * weights, const void * values, int columns) {
    columns_times<Weights, one_token>(length / Weights::LENGTH, to, 0, weights, (const typename Weights::one *) values,
                                      columns);
}

template <class Weights>
void times_several(int length, float * to, size_t stride, const void * weights, const void * values, int tokens,
                   int columns) {
    const int blocks = length / Weights::LENGTH;
    const auto * of = (const typename Weights::four *) values;
    for (int token = 0; token < tokens; token += MOST_TOKENS) {
        const int left = tokens - token < MOST_TOKENS ? tokens - token : MOST_TOKENS;
        switch (left / 4) {
            case 1: columns_times<Weights, several_tokens<1>>(blocks, to, stride, weights, of, columns); break;
            case 2: columns_times<Weights, several_tokens<2>>(blocks, to, stride, weights, of, columns); break;
            case 3: columns_times<Weights, several_tokens<3>>(blocks, to, stride, weights, of, columns); break;
            default: columns_times<Weights, several_tokens<4>>(blocks, to, stride, weights, of, columns); break;
        }
        to += left * stride;
        of += (int64_t) (left / 4) * blocks;
    }
}
} // namespace
} // namespace hearth

#define HEARTH_PRODUCTS(weights, values)                                                                              \
    extern "C" {                                                                                                       \
    void ggml_gemv_##weights##_8x8_##values(int, float *, size_t, const void *, const void *, int, int);               \
    void ggml_gemm_##weights##_8x8_##values(int, float *, size_t, const void *, const void *, int, int);               \
    }                                                                                                                  \
    namespace ggml::cpu::repack { /* from where ggml calls its kernels: these are found first */                       \
    [[maybe_unused]] static void ggml_gemv_##weights##_8x8_##values(int n, float * s, size_t bs, const void * vx,      \
                                                                   const void * vy, int nr, int nc) {                 \
        if (n > hearth::MOST_LENGTH || nr != 1) {                                                                      \
            ::ggml_gemv_##weights##_8x8_##values(n, s, bs, vx, vy, nr, nc);                                            \
        } else {                                                                                                       \
            hearth::times_one<hearth::weights>(n, s, vx, vy, nc);                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    [[maybe_unused]] static void ggml_gemm_##weights##_8x8_##values(int n, float * s, size_t bs, const void * vx,      \
                                                                   const void * vy, int nr, int nc) {                 \
        if (n > hearth::MOST_LENGTH) {                                                                                 \
            ::ggml_gemm_##weights##_8x8_##values(n, s, bs, vx, vy, nr, nc);                                            \
        } else {                                                                                                       \
            hearth::times_several<hearth::weights>(n, s, bs, vx, vy, nr, nc);                                          \
        }                                                                                                              \
    }                                                                                                                  \
    }
HEARTH_PRODUCTS(q4_0, q8_0)
HEARTH_PRODUCTS(q4_K, q8_K)
#undef HEARTH_PRODUCTS
#endif
#endif
