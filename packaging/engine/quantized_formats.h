// A tile of weights of one format times the values of up to MOST_TOKENS tokens.
#pragma once
#include "quantized_tokens.h"
#include "quantized_vectors.h"

namespace hearth {
namespace {

constexpr int MOST_LENGTH = 1 << 15; // of a token's values: what is prepared of them lies on the stack

// Products of `COUNT` times four weights of each column with as many values of a token, which lie in eights, `stride`
// apart. Where pairs are added in 16 bits, `TOGETHER` of them stay below 2^15.
inline ints four_values(const int8_t * values, int stride, int number) {
    int32_t four;
    memcpy(&four, values + number / 2 * stride + number % 2 * 4, sizeof(four));
    return same(four);
}
#ifdef HEARTH_FOURS
inline ints scales(ints from) { return from; }

template <int COUNT, int TOGETHER>
inline ints sum_of(const ints * weights, const int8_t * values, int stride, ints start) {
    for (int i = 0; i < COUNT; i++) {
        start = fours_plus(weights[i], four_values(values, stride, i), start);
    }
    return start;
}
template <int COUNT, int TOGETHER>
inline ints scaled_sum_of(const ints * weights, const int8_t * values, int stride, ints scales, ints start) {
    return plus(start, times(sum_of<COUNT, TOGETHER>(weights, values, stride, same(0)), scales));
}
#else
inline ints scales(ints from) { return joined(from, from); }

template <int COUNT, int TOGETHER>
inline ints scaled_sum_of(const ints * weights, const int8_t * values, int stride, ints scales, ints start) {
    for (int i = 0; i < COUNT; i += TOGETHER) {
        ints together = pairs(weights[i], four_values(values, stride, i));
        for (int k = i + 1; k < i + TOGETHER; k++) {
            together = short_plus(together, pairs(weights[k], four_values(values, stride, k)));
        }
        start = pairs_plus(together, scales, start);
    }
    return start;
}
template <int COUNT, int TOGETHER>
inline ints sum_of(const ints * weights, const int8_t * values, int stride, ints start) {
    return scaled_sum_of<COUNT, TOGETHER>(weights, values, stride, same(0x00010001), start);
}
#endif

// Weights come from memory, and come sooner when they are asked for ahead. Measured from 0 to 4 KiB.
constexpr int AHEAD = 3072;      // bytes
constexpr int ASKING_TOKENS = 8; // more have so much to compute that the processor is ahead by itself

// Where the blocks of a tile's columns lie: some columns side by side in each.
template <class Block> struct tile_blocks {
    static constexpr int GROUPS = COLUMNS / Block::SIDE;
    const uint8_t * of[GROUPS];

    // The columns after the last repeat the first: nothing is stored of them.
    tile_blocks(const void * weights, int blocks, int column, int columns) {
        for (int i = 0; i < GROUPS; i++) {
            const int first = column + (i * Block::SIDE < columns - column ? i * Block::SIDE : 0);
            of[i] = (const uint8_t *) ((const Block *) weights + (int64_t) (first / Block::SIDE) * blocks);
        }
    }
    template <int TOKENS> void ask() const {
        for (size_t at = 0; at < sizeof(Block) && TOKENS <= ASKING_TOKENS; at += 64) {
            for (const uint8_t * each : of) {
                _mm_prefetch((const char *) each + AHEAD + at, _MM_HINT_T0);
            }
        }
    }
    void next() {
        for (const uint8_t *& each : of) {
            each += sizeof(Block);
        }
    }
};

// As ggml repacks them (repack.h): columns side by side, eight bytes of each in turn.
struct eight_q4_0 {
    static constexpr int SIDE = 8;
    uint16_t d[8];
    uint8_t qs[8 * 16]; // value i is in the lower half of byte i, value 16 + i in the upper
};
struct eight_mxfp4 {
    static constexpr int SIDE = 8;
    uint8_t e[8]; // exponents of 2
    uint8_t qs[8 * 16];
};
struct four_columns_q8_0 {
    static constexpr int SIDE = 4;
    uint16_t d[4];
    int8_t qs[4 * 32];
};
struct eight_q4_K {
    static constexpr int SIDE = 8;
    uint16_t d[8], dmin[8];
    uint8_t scales[8 * 12];
    uint8_t qs[8 * 128]; // of each 64 values the first 32 in the lower halves
};
struct eight_q5_K {
    static constexpr int SIDE = 8;
    uint16_t d[8], dmin[8];
    uint8_t scales[8 * 12];
    uint8_t qh[8 * 32]; // bit i of byte k is the fifth of value 32 * i + k
    uint8_t qs[8 * 128];
};
struct eight_q6_K {
    static constexpr int SIDE = 8;
    uint16_t d[8];
    int8_t scales[8 * 16]; // of 16 values
    uint8_t ql[8 * 128]; // of each 128 values the first 64 in the lower halves
    uint8_t qh[8 * 64]; // of each 128 values: bits 2 * i and 2 * i + 1 of byte k are the upper of value 32 * i + k
};

// What formats with blocks of 32 weights have in common. A format says how weights are unpacked, in vectors of four of
// each column, and how they are multiplied.
template <class Format> struct blocks_of_32 {
    static constexpr int LENGTH = 32;
    using weights = typename Format::weights;
    template <int TOKENS> using prepared = prepared_q8_0<TOKENS, Format::EXCESS>;
    using one = one_q8_0;
    using four = four_q8_0;

    template <class Tokens, class Values>
    static void tile(tile_blocks<weights> at, const Values * values, const prepared<Tokens::TOKENS> * prepared,
                     int blocks, float * to, size_t stride, int columns) {
        floats sums[Tokens::TOKENS];
        for (floats & sum : sums) {
            sum = same(0.0f);
        }
        for (int block = 0; block < blocks; block++, at.next()) {
            at.template ask<Tokens::TOKENS>();
            ints unpacked[Format::VECTORS];
            Format::unpack(at.of, unpacked);
            const floats scale = Format::scale(at.of);
            for (int token = 0; token < Tokens::TOKENS; token++) {
                const int8_t * of = Tokens::values(values, blocks, block, token);
                const ints start = same(prepared[block].start[token]);
                const ints found = Format::dot(unpacked, of, Tokens::STRIDE, start);
                const floats factor = times(scale, same(prepared[block].scale[token]));
                sums[token] = times_plus(to_floats(found), factor, sums[token]);
            }
        }
        for (int token = 0; token < Tokens::TOKENS; token++) {
            store(to + token * stride, sums[token], columns);
        }
    }
};

struct format_q4_0 {
    static constexpr int EXCESS = 8, VECTORS = 8;
    using weights = eight_q4_0;

    template <class Groups> static void unpack(const Groups & of, ints * to) {
        for (int i = 0; i < 4; i += 2) { // repacking has flipped the highest bits
            ints packed[2];
            load_columns(of, offsetof(weights, qs) + i * 32, packed);
            for (int k = 0; k < 2; k++) {
                to[i + k] = low_bits(packed[k], 0x88);
                to[i + k + 4] = high_bits(packed[k], 0x88);
            }
        }
    }
    template <class Groups> static floats scale(const Groups & of) { return halves(of, offsetof(weights, d)); }
    static ints dot(const ints * weights, const int8_t * values, int stride, ints start) {
        return sum_of<8, 8>(weights, values, stride, start);
    }
};

struct format_mxfp4 {
    static constexpr int EXCESS = 12, VECTORS = 8;
    using weights = eight_mxfp4;

    template <class Groups> static void unpack(const Groups & of, ints * to) {
        // Twice the values of the format (E2M1: OCP Microscaling Formats 1.0), and the excess: 0 to 24.
        const __m128i table = _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0);
        for (int i = 0; i < 4; i += 2) {
            ints packed[2];
            load_columns(of, offsetof(weights, qs) + i * 32, packed);
            for (int k = 0; k < 2; k++) {
                to[i + k] = looked_up(table, low_bits(packed[k], 0));
                to[i + k + 4] = looked_up(table, high_bits(packed[k], 0));
            }
        }
    }
    template <class Groups> static floats scale(const Groups & of) {
        return half_powers(columns_bytes(of, offsetof(weights, e)));
    }
    static ints dot(const ints * weights, const int8_t * values, int stride, ints start) {
        return sum_of<8, 4>(weights, values, stride, start);
    }
};

struct format_q8_0 {
    using weights = four_columns_q8_0;

    template <class Groups> static void load(const Groups & of, ints * to) {
        for (int i = 0; i < 8; i += 2) {
            load_columns(of, offsetof(weights, qs) + i * 16, to + i);
        }
    }
    template <class Groups> static floats scale(const Groups & of) { return halves(of, offsetof(weights, d)); }
#ifdef HEARTH_FOURS
    static constexpr int EXCESS = 128, VECTORS = 8;

    template <class Groups> static void unpack(const Groups & of, ints * to) {
        load(of, to);
        for (int i = 0; i < 8; i++) {
            to[i] = flipped(to[i], 0x80);
        }
    }
    static ints dot(const ints * weights, const int8_t * values, int stride, ints start) {
        return sum_of<8, 8>(weights, values, stride, start);
    }
#else // pairs of so large numbers must not be added in 16 bits: the sign goes to the values
    static constexpr int EXCESS = 0, VECTORS = 16;

    template <class Groups> static void unpack(const Groups & of, ints * to) {
        load(of, to);
        for (int i = 0; i < 8; i++) {
            to[i + 8] = without_sign(to[i]);
        }
    }
    static ints dot(const ints * weights, const int8_t * values, int stride, ints start) {
        for (int i = 0; i < 8; i++) {
            const ints moved = with_sign(four_values(values, stride, i), weights[i]);
            start = pairs_plus(pairs(weights[i + 8], moved), same(0x00010001), start);
        }
        return start;
    }
#endif
};
using q4_0 = blocks_of_32<format_q4_0>;
using mxfp4 = blocks_of_32<format_mxfp4>;
using q8_0 = blocks_of_32<format_q8_0>;

// Q4_K, and Q5_K with one bit more of each weight.
template <class Block, bool HAS_FIFTH> struct with_minima {
    static constexpr int LENGTH = 256;
    using weights = Block;
    template <int TOKENS> using prepared = prepared_q8_K<TOKENS, 32>;
    using one = one_q8_K;
    using four = four_q8_K;

    // Scales and minima of 32 values of eight columns, 6 bits each; columns 4 to 7 have their upper two beside 0 to 3.
    static void unpack_scales(const uint8_t * from, uint8_t * scales, uint8_t * minima) {
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
    static void load_fifths(const tile_blocks<weights> & at, ints * to) {
        if constexpr (HAS_FIFTH) {
            for (int i = 0; i < 8; i += 2) {
                load_columns(at.of, offsetof(weights, qh) + i * 32, to + i);
            }
        }
    }

    template <class Tokens, class Values>
    static void tile(tile_blocks<weights> at, const Values * values, const prepared<Tokens::TOKENS> * prepared,
                     int blocks, float * to, size_t stride, int columns) {
        floats sums[Tokens::TOKENS], less[Tokens::TOKENS];
        for (int token = 0; token < Tokens::TOKENS; token++) {
            sums[token] = less[token] = same(0.0f);
        }
        for (int block = 0; block < blocks; block++, at.next()) {
            at.template ask<Tokens::TOKENS>();
            uint8_t all_scales[8][COLUMNS], all_minima[8][COLUMNS];
            for (int i = 0; i < 8; i++) {
                for (int k = 0; k < at.GROUPS; k++) {
                    unpack_scales(at.of[k] + offsetof(weights, scales) + i * 12, all_scales[i] + k * 8,
                                  all_minima[i] + k * 8);
                }
            }
            ints fifths[8];
            load_fifths(at, fifths);
            ints found[Tokens::TOKENS];
            for (ints & of : found) {
                of = same(0);
            }
            for (int i = 0; i < 8; i++) {
                ints unpacked[8];
                for (int k = 0; k < 8; k += 2) {
                    ints packed[2];
                    load_columns(at.of, offsetof(weights, qs) + i / 2 * 256 + k * 32, packed);
                    for (int m = 0; m < 2; m++) {
                        unpacked[k + m] = i % 2 ? high_bits(packed[m], 0) : low_bits(packed[m], 0);
                        if constexpr (HAS_FIFTH) {
                            unpacked[k + m] = with_bits(unpacked[k + m], fifths[k + m], 4 - i, 0x10);
                        }
                    }
                }
                const ints scale = scales(bytes(all_scales[i]));
                for (int token = 0; token < Tokens::TOKENS; token++) {
                    const int8_t * of = Tokens::values(values, blocks, block, token) + i * 4 * Tokens::STRIDE;
                    found[token] =
                        scaled_sum_of<8, HAS_FIFTH ? 4 : 8>(unpacked, of, Tokens::STRIDE, scale, found[token]);
                }
            }
            const floats scale = halves(at.of, offsetof(weights, d));
            const floats least = halves(at.of, offsetof(weights, dmin));
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
using q4_K = with_minima<eight_q4_K, false>;
using q5_K = with_minima<eight_q5_K, true>;

struct q6_K {
    static constexpr int LENGTH = 256;
    using weights = eight_q6_K;
    template <int TOKENS> using prepared = prepared_q8_K<TOKENS, 16>;
    using one = one_q8_K;
    using four = four_q8_K;

    template <class Tokens, class Values>
    static void tile(tile_blocks<weights> at, const Values * values, const prepared<Tokens::TOKENS> * prepared,
                     int blocks, float * to, size_t stride, int columns) {
        floats sums[Tokens::TOKENS];
        for (floats & sum : sums) {
            sum = same(0.0f);
        }
        for (int block = 0; block < blocks; block++, at.next()) {
            at.template ask<Tokens::TOKENS>();
            ints found[Tokens::TOKENS], excess[Tokens::TOKENS]; // each weight has 32 too much
            for (int token = 0; token < Tokens::TOKENS; token++) {
                found[token] = excess[token] = same(0);
            }
            for (int half = 0; half < 2; half++) {
                ints low[16], upper[8];
                for (int i = 0; i < 16; i += 2) {
                    load_columns(at.of, offsetof(weights, ql) + half * 512 + i * 32, low + i);
                }
                for (int i = 0; i < 8; i += 2) {
                    load_columns(at.of, offsetof(weights, qh) + half * 256 + i * 32, upper + i);
                }
                for (int i = 0; i < 4; i++) {
                    ints unpacked[8];
                    for (int k = 0; k < 8; k++) {
                        const ints packed = low[i % 2 * 8 + k];
                        unpacked[k] = i < 2 ? low_bits(packed, 0) : high_bits(packed, 0);
                        unpacked[k] = with_bits(unpacked[k], upper[k], 4 - 2 * i, 0x30);
                    }
                    const int pair = half * 4 + i;
                    const ints first = columns_signed_bytes(at.of, offsetof(weights, scales) + pair * 16);
                    const ints second = columns_signed_bytes(at.of, offsetof(weights, scales) + pair * 16 + 8);
                    const ints both = joined(first, second);
                    for (int token = 0; token < Tokens::TOKENS; token++) {
                        const int8_t * of = Tokens::values(values, blocks, block, token) + pair * 4 * Tokens::STRIDE;
                        ints sum = found[token];
                        sum = scaled_sum_of<4, 2>(unpacked, of, Tokens::STRIDE, scales(first), sum);
                        of += 2 * Tokens::STRIDE;
                        found[token] = scaled_sum_of<4, 2>(unpacked + 4, of, Tokens::STRIDE, scales(second), sum);
                        excess[token] = pairs_plus(both, same(prepared[block].sums[pair][token]), excess[token]);
                    }
                }
            }
            const floats scale = halves(at.of, offsetof(weights, d));
            for (int token = 0; token < Tokens::TOKENS; token++) {
                const ints exact = minus(found[token], shifted<5>(excess[token]));
                const floats factor = times(scale, same(prepared[block].scale[token]));
                sums[token] = times_plus(to_floats(exact), factor, sums[token]);
            }
        }
        for (int token = 0; token < Tokens::TOKENS; token++) {
            store(to + token * stride, sums[token], columns);
        }
    }
};
} // namespace
} // namespace hearth
