// Values of tokens as ggml quantizes them, and what is the same in them for all columns of weights.
#pragma once
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace hearth {
namespace {

// As ggml keeps them (ggml-common.h, repack.h); those headers must not be included before a file has chosen how. `four`
// tokens lie side by side, eight bytes of each in turn.
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

// What is prepared of a block of each token's values. `EXCESS` is what each weight has too much while it is multiplied.
template <int TOKENS, int EXCESS> struct prepared_q8_0 {
    float scale[TOKENS];
    int32_t start[TOKENS]; // minus the excess of all weights
};
template <int TOKENS, int LENGTH> struct prepared_q8_K {
    static constexpr int PAIRS = 256 / LENGTH / 2;
    float scale[TOKENS];
    int32_t sums[PAIRS][TOKENS]; // each two sums of LENGTH values, of 16 bits
};

template <int EXCESS> inline __m256i minus_excess(const void * values) { // eight sums of four
    const __m256i all = _mm256_loadu_si256((const __m256i *) values);
    return _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), all), _mm256_set1_epi16(-EXCESS));
}

// `sums` are of each 16 values, every fourth of them `stride` further on.
template <int LENGTH> inline int32_t two_sums(const int16_t * sums, int stride, int pair) {
    constexpr int EACH = LENGTH / 16; // 1 or 2, so that both lie in the same four
    const int16_t * first = sums + pair * 2 * EACH / 4 * stride + pair * 2 * EACH % 4;
    const int16_t low = EACH == 1 ? first[0] : first[0] + first[1];
    const int16_t high = EACH == 1 ? first[1] : first[2] + first[3];
    return (int32_t) ((uint16_t) low | (uint32_t) (uint16_t) high << 16);
}

struct one_token {
    static constexpr int STRIDE = 8, TOKENS = 1; // STRIDE from one eight of a token's values to the next

    static const int8_t * values(const one_q8_0 * from, int, int block, int) { return from[block].qs; }
    static const int8_t * values(const one_q8_K * from, int, int block, int) { return from[block].qs; }

    template <int EXCESS>
    static void prepare(const one_q8_0 * from, int blocks, prepared_q8_0<TOKENS, EXCESS> * to) {
        for (int block = 0; block < blocks; block++) {
            const __m256i sums = minus_excess<EXCESS>(from[block].qs);
            __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
            sum = _mm_hadd_epi32(sum, sum);
            to[block].start[0] = _mm_cvtsi128_si32(_mm_hadd_epi32(sum, sum));
            to[block].scale[0] = _cvtsh_ss(from[block].d);
        }
    }
    template <int LENGTH>
    static void prepare(const one_q8_K * from, int blocks, prepared_q8_K<TOKENS, LENGTH> * to) {
        for (int block = 0; block < blocks; block++) {
            to[block].scale[0] = from[block].d;
            for (int pair = 0; pair < to->PAIRS; pair++) {
                to[block].sums[pair][0] = two_sums<LENGTH>(from[block].bsums, 4, pair);
            }
        }
    }
};

template <int FOURS> struct several_tokens {
    static constexpr int STRIDE = 32, TOKENS = FOURS * 4;

    template <class Block> static const int8_t * values(const Block * from, int blocks, int block, int token) {
        return from[(int64_t) (token / 4) * blocks + block].qs + token % 4 * 8;
    }
    template <int EXCESS>
    static void prepare(const four_q8_0 * from, int blocks, prepared_q8_0<TOKENS, EXCESS> * to) {
        for (int four = 0; four < FOURS; four++) {
            for (int block = 0; block < blocks; block++) {
                const four_q8_0 & of = from[(int64_t) four * blocks + block];
                __m256i sums = minus_excess<EXCESS>(of.qs);
                for (int i = 1; i < 4; i++) {
                    sums = _mm256_add_epi32(sums, minus_excess<EXCESS>(of.qs + i * 32));
                }
                sums = _mm256_hadd_epi32(sums, sums);
                const __m128i start =
                    _mm_unpacklo_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
                _mm_storeu_si128((__m128i *) (to[block].start + four * 4), start);
                _mm_storeu_ps(to[block].scale + four * 4, _mm_cvtph_ps(_mm_loadl_epi64((const __m128i *) of.d)));
            }
        }
    }
    template <int LENGTH>
    static void prepare(const four_q8_K * from, int blocks, prepared_q8_K<TOKENS, LENGTH> * to) {
        for (int token = 0; token < TOKENS; token++) {
            for (int block = 0; block < blocks; block++) {
                const four_q8_K & of = from[(int64_t) (token / 4) * blocks + block];
                to[block].scale[token] = of.d[token % 4];
                for (int pair = 0; pair < to->PAIRS; pair++) {
                    to[block].sums[pair][token] = two_sums<LENGTH>(of.bsums + token % 4 * 4, 16, pair);
                }
            }
        }
    }
};
} // namespace
} // namespace hearth
