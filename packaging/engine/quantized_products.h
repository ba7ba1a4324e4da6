// Products of quantized weights with one token and with many. Included before every C++ file by the option -include.
//
// ggml repacks weights so that columns lie side by side. Its kernels for AVX2 and AVX-512 (Q4_0, Q4_K, MXFP4) spend
// most of their time on other things than products: both factors change their signs, and the tokens' values are
// shuffled for every tile. There are none for Q5_K, Q6_K and Q8_0, which are not repacked there. Here weights stay as they are stored where
// that is possible, four values of a token meet all columns by one broadcast load, and a tile of weights is unpacked
// once for up to 16 tokens.
//
// The sums of a block are whole numbers, and floats are added block by block (for Q4_0 and Q4_K that is the order of
// ggml's kernels for one token): a token gets the same bit for bit, alone or beside others.
#if defined(__cplusplus) && defined(__has_include) && defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#if __has_include("repack.h") // a file of ggml's for the processor
#include "quantized_formats.h"

namespace hearth {
namespace {

template <class Weights, class Tokens, class Values>
void columns_times(int blocks, float * to, size_t stride, const void * weights, const Values * values, int columns) {
    typename Weights::template prepared<Tokens::TOKENS> prepared[MOST_LENGTH / Weights::LENGTH];
    Tokens::prepare(values, blocks, prepared);
    for (int column = 0; column < columns; column += COLUMNS) {
        const tile_blocks<typename Weights::weights> at(weights, blocks, column, columns);
        const int left = columns - column < COLUMNS ? columns - column : COLUMNS;
        Weights::template tile<Tokens>(at, values, prepared, blocks, to + column, stride, left);
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

#define HEARTH_PRODUCTS(weights, order, values)                                                                        \
    extern "C" {                                                                                                       \
    void ggml_gemv_##weights##_##order##_##values(int, float *, size_t, const void *, const void *, int, int);         \
    void ggml_gemm_##weights##_##order##_##values(int, float *, size_t, const void *, const void *, int, int);         \
    }                                                                                                                  \
    namespace ggml::cpu::repack { /* from where ggml calls its kernels: these are found first */                       \
    [[maybe_unused]] static void ggml_gemv_##weights##_##order##_##values(int n, float * s, size_t bs,                 \
                                                                          const void * vx, const void * vy, int nr,    \
                                                                          int nc) {                                    \
        if (n > hearth::MOST_LENGTH || nr != 1) {                                                                      \
            ::ggml_gemv_##weights##_##order##_##values(n, s, bs, vx, vy, nr, nc);                                      \
        } else {                                                                                                       \
            hearth::times_one<hearth::weights>(n, s, vx, vy, nc);                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    [[maybe_unused]] static void ggml_gemm_##weights##_##order##_##values(int n, float * s, size_t bs,                 \
                                                                          const void * vx, const void * vy, int nr,    \
                                                                          int nc) {                                    \
        if (n > hearth::MOST_LENGTH) {                                                                                 \
            ::ggml_gemm_##weights##_##order##_##values(n, s, bs, vx, vy, nr, nc);                                      \
        } else {                                                                                                       \
            hearth::times_several<hearth::weights>(n, s, bs, vx, vy, nr, nc);                                          \
        }                                                                                                              \
    }                                                                                                                  \
    }
HEARTH_PRODUCTS(q4_0, 8x8, q8_0)
HEARTH_PRODUCTS(q4_K, 8x8, q8_K)
HEARTH_PRODUCTS(q5_K, 8x8, q8_K)
HEARTH_PRODUCTS(q6_K, 8x8, q8_K)
HEARTH_PRODUCTS(q8_0, 4x8, q8_0)
HEARTH_PRODUCTS(mxfp4, 8x8, q8_0)
#undef HEARTH_PRODUCTS

// ggml_repack_get_optimal_repack_type (repack.cpp) lists its ways, the one of this name last, and chooses: on x86-64
// none of these three. Experts stay as they are: ggml multiplies repacked ones with one token at a time.
#define q8_0_4x8_q8_0                                                                                                  \
    q8_0_4x8_q8_0;                                                                                                     \
    if (cur->ne[0] <= hearth::MOST_LENGTH && cur->ne[1] % 8 == 0 && cur->ne[2] == 1) {                                 \
        switch (cur->type) {                                                                                           \
            case GGML_TYPE_Q5_K: return &q5_K_8x8_q8_K;                                                                \
            case GGML_TYPE_Q6_K: return &q6_K_8x8_q8_K;                                                                \
            case GGML_TYPE_Q8_0: return &q8_0_4x8_q8_0;                                                                \
            default: break;                                                                                            \
        }                                                                                                              \
    }
#endif
#endif
