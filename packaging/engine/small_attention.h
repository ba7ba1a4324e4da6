// Flash attention for single tokens and small batches. Included before every C file by the option -include.
//
// ggml's own takes one head and one cell after the other: every head that shares keys and values reads and converts
// them again, and each cell has an exponential of its own. It reads prompts 7 to 40 % faster than attention without
// it, but after 4,000 tokens it wrote 25 % slower (1.1B, two cores with AVX-512). Here up to eight rows (heads that
// share keys and values, of one token or several) see a block of cells together, and exponentials are taken 8 or 16 at
// once. So a processor can have flash attention for both.
//
// A row is computed by the same operations in the same order whatever else is in the batch and however many threads
// there are: first each block of cells by itself, then the blocks in their order. So guesses that are checked together
// get the results that they would get one by one (see small_batches.h).
//
// The online softmax over blocks is that of Milakov and Gimelshein, arXiv 1805.02867; keys in F16 meet queries in F32,
// where ggml's own rounds the queries to F16 first.
#if !defined(__cplusplus) && defined(__has_include) && \
    (defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)))
#if __has_include("ops.h") && __has_include("llamafile/sgemm.h")
#include "ggml-cpu-impl.h"
#include "ggml-impl.h"
#include "ggml.h"
#include "ops.h"
#include "vec.h"

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

enum {
    HEARTH_BLOCK = 256,     // cells: their keys and values stay in a processor's own cache
    HEARTH_ROWS = 8,        // at most, side by side
    HEARTH_MOST_TOKENS = 63, // from 64 on ggml has tiles (GGML_FA_TILE_Q)
    HEARTH_MOST_WIDTH = 576,
    HEARTH_MOST_CELLS = 1 << 24,
};

#ifdef __AVX512F__
enum { HEARTH_LANES = 16, HEARTH_SUMS = 16 };
typedef __m512 hearth_lanes;

static inline hearth_lanes hearth_zero(void) { return _mm512_setzero_ps(); }
static inline hearth_lanes hearth_load(const float * from) { return _mm512_loadu_ps(from); }
static inline hearth_lanes hearth_load_half(const ggml_fp16_t * from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) from));
}
static inline hearth_lanes hearth_same(float value) { return _mm512_set1_ps(value); }
static inline hearth_lanes hearth_times_plus(hearth_lanes a, hearth_lanes b, hearth_lanes c) {
    return _mm512_fmadd_ps(a, b, c);
}
static inline void hearth_store(float * to, hearth_lanes value) { _mm512_storeu_ps(to, value); }
static inline __m256 hearth_half_of(hearth_lanes value) {
    const __m256 upper = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(value), 1));
    return _mm256_add_ps(_mm512_castps512_ps256(value), upper);
}
#else
enum { HEARTH_LANES = 8, HEARTH_SUMS = 8 };
typedef __m256 hearth_lanes;

static inline hearth_lanes hearth_zero(void) { return _mm256_setzero_ps(); }
static inline hearth_lanes hearth_load(const float * from) { return _mm256_loadu_ps(from); }
static inline hearth_lanes hearth_load_half(const ggml_fp16_t * from) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) from));
}
static inline hearth_lanes hearth_same(float value) { return _mm256_set1_ps(value); }
static inline hearth_lanes hearth_times_plus(hearth_lanes a, hearth_lanes b, hearth_lanes c) {
    return _mm256_fmadd_ps(a, b, c);
}
static inline void hearth_store(float * to, hearth_lanes value) { _mm256_storeu_ps(to, value); }
static inline __m256 hearth_half_of(hearth_lanes value) { return value; }
#endif

// The sum of each of eight vectors, in their order.
static inline __m256 hearth_sums(const hearth_lanes * of) {
    const __m256 a = _mm256_hadd_ps(hearth_half_of(of[0]), hearth_half_of(of[1]));
    const __m256 b = _mm256_hadd_ps(hearth_half_of(of[2]), hearth_half_of(of[3]));
    const __m256 c = _mm256_hadd_ps(hearth_half_of(of[4]), hearth_half_of(of[5]));
    const __m256 d = _mm256_hadd_ps(hearth_half_of(of[6]), hearth_half_of(of[7]));
    const __m256 ab = _mm256_hadd_ps(a, b), cd = _mm256_hadd_ps(c, d);
    return _mm256_add_ps(_mm256_permute2f128_ps(ab, cd, 0x20), _mm256_permute2f128_ps(ab, cd, 0x31));
}

// Rows that share keys and values.
struct hearth_rows {
    int count;
    const float * query[HEARTH_ROWS];
    const ggml_fp16_t * mask[HEARTH_ROWS]; // all null where there is none
    float slope[HEARTH_ROWS];
};

// What a block of cells says to each row; the values are not divided by the sum yet.
struct hearth_block {
    float most[HEARTH_ROWS]; // -INFINITY: nothing is seen
    float sum[HEARTH_ROWS];
    float values[HEARTH_ROWS * HEARTH_MOST_WIDTH];
};

// Products of 1, 2, 4 or 8 rows with 8, 4, 2 or 1 cells at once.
static inline __attribute__((always_inline)) void hearth_score(
    const int rows, const float * const * query, const char * keys, size_t stride, int width, int cells,
    const uint8_t * seen, float * scores) {
    const int beside = HEARTH_ROWS / rows;
    for (int cell = 0; cell < cells; cell += beside) {
        int any = 0;
        for (int i = 0; i < beside; i++) {
            any |= seen[cell + i];
        }
        if (!any) {
            continue;
        }
        hearth_lanes sums[HEARTH_ROWS];
        for (int i = 0; i < HEARTH_ROWS; i++) {
            sums[i] = hearth_zero();
        }
        for (int at = 0; at < width; at += HEARTH_LANES) {
            for (int i = 0; i < beside; i++) {
                const hearth_lanes key = hearth_load_half((const ggml_fp16_t *) (keys + (cell + i) * stride) + at);
                for (int row = 0; row < rows; row++) {
                    sums[row * beside + i] =
                        hearth_times_plus(key, hearth_load(query[row] + at), sums[row * beside + i]);
                }
            }
        }
        float found[HEARTH_ROWS];
        _mm256_storeu_ps(found, hearth_sums(sums));
        for (int row = 0; row < rows; row++) {
            memcpy(scores + row * HEARTH_BLOCK + cell, found + row * beside, beside * sizeof(float));
        }
    }
}

// Values of the cells that are seen, weighted, `columns` vectors of lanes at once.
static inline __attribute__((always_inline)) void hearth_weigh(
    const int rows, const int columns, const float * weights, const char * values, size_t stride, int at,
    const uint16_t * cells, int count, float * to, int width) {
    hearth_lanes sums[HEARTH_SUMS];
    for (int i = 0; i < rows * columns; i++) {
        sums[i] = hearth_zero();
    }
    for (int n = 0; n < count; n++) {
        const int cell = cells[n];
        const ggml_fp16_t * from = (const ggml_fp16_t *) (values + cell * stride) + at;
        for (int column = 0; column < columns; column++) {
            const hearth_lanes value = hearth_load_half(from + column * HEARTH_LANES);
            for (int row = 0; row < rows; row++) {
                sums[row * columns + column] = hearth_times_plus(
                    value, hearth_same(weights[row * HEARTH_BLOCK + cell]), sums[row * columns + column]);
            }
        }
    }
    for (int row = 0; row < rows; row++) {
        for (int column = 0; column < columns; column++) {
            hearth_store(to + row * width + at + column * HEARTH_LANES, sums[row * columns + column]);
        }
    }
}

static inline __attribute__((always_inline)) void hearth_weigh_all(
    const int rows, const float * weights, const char * values, size_t stride, const uint16_t * cells, int count,
    float * to, int width) {
    const int columns = HEARTH_SUMS / rows;
    int at = 0;
    for (; at + columns * HEARTH_LANES <= width; at += columns * HEARTH_LANES) {
        hearth_weigh(rows, columns, weights, values, stride, at, cells, count, to, width);
    }
    for (; at < width; at += HEARTH_LANES) {
        hearth_weigh(rows, 1, weights, values, stride, at, cells, count, to, width);
    }
}

// One block of at most HEARTH_BLOCK cells, beginning with `first`.
static void hearth_attend(
    const struct ggml_tensor * dst, const struct hearth_rows * rows, const char * keys, const char * values, int first,
    int cells, struct hearth_block * block) {
    const struct ggml_tensor * k = dst->src[1];
    const struct ggml_tensor * v = dst->src[2];
    const int key_width = (int) k->ne[0], width = (int) v->ne[0], count = rows->count;
    float scale, softcap;
    memcpy(&scale, (const float *) dst->op_params + 0, sizeof(float));
    memcpy(&softcap, (const float *) dst->op_params + 2, sizeof(float));
    if (softcap != 0.0f) {
        scale /= softcap;
    }
    const hearth_lanes factor = hearth_same(softcap != 0.0f ? 1.0f : scale);

    uint8_t seen[HEARTH_BLOCK];
    uint16_t seen_cells[HEARTH_BLOCK];
    int seen_count = 0;
    for (int cell = 0; cell < cells; cell++) {
        seen[cell] = !rows->mask[0];
        for (int row = 0; row < count && !seen[cell]; row++) {
            seen[cell] = rows->mask[row][first + cell] != 0xFC00; // minus infinity
        }
        if (seen[cell]) {
            seen_cells[seen_count++] = (uint16_t) cell;
        }
    }
    if (!seen_count) {
        for (int row = 0; row < count; row++) {
            block->most[row] = -INFINITY;
        }
        return;
    }

    // An uneven number of rows is filled up with the last one.
    const int even = count > 4 ? 8 : count > 2 ? 4 : count;
    const float * query[HEARTH_ROWS];
    for (int row = 0; row < even; row++) {
        query[row] = rows->query[row < count ? row : count - 1];
    }
    float scores[HEARTH_ROWS * HEARTH_BLOCK];
    memset(scores, 0, sizeof(float) * even * HEARTH_BLOCK);
    keys += (size_t) first * k->nb[1];
    values += (size_t) first * v->nb[1];
    switch (even) {
        case 1: hearth_score(1, query, keys, k->nb[1], key_width, cells, seen, scores); break;
        case 2: hearth_score(2, query, keys, k->nb[1], key_width, cells, seen, scores); break;
        case 4: hearth_score(4, query, keys, k->nb[1], key_width, cells, seen, scores); break;
        default: hearth_score(8, query, keys, k->nb[1], key_width, cells, seen, scores); break;
    }
    for (int row = 0; row < count; row++) {
        float * mine = scores + row * HEARTH_BLOCK;
        const ggml_fp16_t * mask = rows->mask[row] ? rows->mask[row] + first : NULL;
        const hearth_lanes slope = hearth_same(rows->slope[row]);
        for (int cell = 0; cell < cells && softcap != 0.0f; cell++) {
            mine[cell] = softcap * tanhf(mine[cell] * scale);
        }
        for (int cell = 0; cell < cells; cell += HEARTH_LANES) {
            const hearth_lanes masked =
                mask ? hearth_times_plus(slope, hearth_load_half(mask + cell), hearth_zero()) : hearth_zero();
            hearth_store(mine + cell, hearth_times_plus(factor, hearth_load(mine + cell), masked));
        }
        for (int cell = cells; cell < HEARTH_BLOCK; cell++) {
            mine[cell] = -INFINITY;
        }
        float most = -INFINITY;
        for (int cell = 0; cell < cells; cell++) {
            most = mine[cell] > most ? mine[cell] : most;
        }
        block->most[row] = most;
        if (most == -INFINITY) {
            memset(mine, 0, sizeof(float) * HEARTH_BLOCK);
        } else {
            block->sum[row] = (float) ggml_vec_soft_max_f32(HEARTH_BLOCK, mine, mine, most);
        }
    }
    switch (even) {
        case 1: hearth_weigh_all(1, scores, values, v->nb[1], seen_cells, seen_count, block->values, width); break;
        case 2: hearth_weigh_all(2, scores, values, v->nb[1], seen_cells, seen_count, block->values, width); break;
        case 4: hearth_weigh_all(4, scores, values, v->nb[1], seen_cells, seen_count, block->values, width); break;
        default: hearth_weigh_all(8, scores, values, v->nb[1], seen_cells, seen_count, block->values, width); break;
    }
}

// What a row has seen so far: the largest score, the sum of the exponentials, and the values weighted by them.
static void hearth_join(float * most, float * sum, float * all, float block_most, float block_sum, const float * values,
                        int width) {
    if (block_most == -INFINITY) {
        return;
    }
    const float larger = block_most > *most ? block_most : *most;
    const float before = expf(*most - larger), now = expf(block_most - larger);
    *most = larger;
    *sum = *sum * before + block_sum * now;
    for (int i = 0; i < width; i++) {
        all[i] = all[i] * before + values[i] * now;
    }
}

static void hearth_finish(const struct ggml_tensor * dst, int64_t token, int64_t head, int64_t stream, float most,
                          float sum, const float * all) {
    const int width = (int) dst->src[2]->ne[0];
    const struct ggml_tensor * sinks = dst->src[4];
    float factor = 1.0f;
    if (sinks) {
        const float sink = ((const float *) sinks->data)[head];
        const float larger = sink > most ? sink : most;
        factor = expf(most - larger);
        sum = sum * factor + expf(sink - larger);
    }
    factor = sum == 0.0f ? 0.0f : factor / sum;
    float * to = (float *) ((char *) dst->data + (stream * dst->ne[2] * dst->ne[1] + head + token * dst->ne[1]) * dst->nb[1]);
    for (int i = 0; i < width; i++) {
        to[i] = all[i] * factor;
    }
}

static struct hearth_rows hearth_rows_of(const struct ggml_tensor * dst, int64_t group, int64_t stream, int64_t first,
                                         int64_t heads) {
    const struct ggml_tensor * q = dst->src[0];
    const struct ggml_tensor * mask = dst->src[3];
    float max_bias;
    memcpy(&max_bias, (const float *) dst->op_params + 1, sizeof(float));
    const uint32_t all_heads = (uint32_t) q->ne[2], power = 1u << (uint32_t) floor(log2(all_heads));
    struct hearth_rows rows = {0};
    const int64_t left = q->ne[1] * heads - first;
    rows.count = left < HEARTH_ROWS ? (int) left : HEARTH_ROWS;
    for (int row = 0; row < rows.count; row++) {
        const int64_t token = (first + row) / heads, head = group * heads + (first + row) % heads;
        rows.query[row] =
            (const float *) ((const char *) q->data + token * q->nb[1] + head * q->nb[2] + stream * q->nb[3]);
        rows.slope[row] = 1.0f;
        if (max_bias > 0.0f) {
            rows.slope[row] = head < power ? powf(powf(2.0f, -max_bias / power), head + 1)
                                           : powf(powf(2.0f, -max_bias / 2.0f / power), 2 * (head - power) + 1);
        }
        if (mask) {
            rows.mask[row] = (const ggml_fp16_t *) ((const char *) mask->data + token * mask->nb[1] +
                                                    head % mask->ne[2] * mask->nb[2] +
                                                    stream % mask->ne[3] * mask->nb[3]);
        }
    }
    return rows;
}

static int hearth_can_attend(const struct ggml_compute_params * params, const struct ggml_tensor * dst) {
    const struct ggml_tensor *q = dst->src[0], *k = dst->src[1], *v = dst->src[2], *mask = dst->src[3];
    return !params->use_ref && q->type == GGML_TYPE_F32 && k->type == GGML_TYPE_F16 && v->type == GGML_TYPE_F16 &&
           q->nb[0] == sizeof(float) && k->nb[0] == sizeof(ggml_fp16_t) && v->nb[0] == sizeof(ggml_fp16_t) &&
           q->ne[1] <= HEARTH_MOST_TOKENS && k->ne[0] % HEARTH_LANES == 0 && v->ne[0] % HEARTH_LANES == 0 &&
           v->ne[0] <= HEARTH_MOST_WIDTH && k->ne[1] % HEARTH_LANES == 0 && k->ne[1] <= HEARTH_MOST_CELLS &&
           k->ne[2] == v->ne[2] && k->ne[3] == v->ne[3] && q->ne[2] % k->ne[2] == 0 && q->ne[3] % k->ne[3] == 0 &&
           (!mask || mask->type == GGML_TYPE_F16);
}

// Whether this was computed here.
static int hearth_flash_attention(const struct ggml_compute_params * params, struct ggml_tensor * dst) {
    if (!hearth_can_attend(params, dst)) {
        return 0;
    }
    const struct ggml_tensor *q = dst->src[0], *k = dst->src[1], *v = dst->src[2];
    const int64_t heads = q->ne[2] / k->ne[2], streams = q->ne[3] / k->ne[3];
    const int64_t row_groups = (q->ne[1] * heads + HEARTH_ROWS - 1) / HEARTH_ROWS;
    const int64_t units = row_groups * k->ne[2] * q->ne[3];
    const int64_t blocks = (k->ne[1] + HEARTH_BLOCK - 1) / HEARTH_BLOCK;
    const int width = (int) v->ne[0], stride = width + 2;
    const size_t needed = sizeof(float) * (size_t) (units * HEARTH_ROWS * blocks * stride);
    // Where the units do not fill all threads evenly, blocks are computed side by side and joined afterwards.
    const int is_split = units % params->nth != 0 && needed <= params->wsize;
    float * parts = params->wdata;
    struct hearth_block block;
    float all[HEARTH_ROWS * HEARTH_MOST_WIDTH], most[HEARTH_ROWS], sum[HEARTH_ROWS];

    const int64_t tasks = is_split ? units * blocks : units;
    for (int64_t task = params->ith; task < tasks; task += params->nth) {
        const int64_t unit = is_split ? task / blocks : task;
        const int64_t first_row = unit % row_groups * HEARTH_ROWS, group = unit / row_groups % k->ne[2];
        const int64_t stream = unit / row_groups / k->ne[2];
        const struct hearth_rows rows = hearth_rows_of(dst, group, stream, first_row, heads);
        const char * keys = (const char *) k->data + group * k->nb[2] + stream / streams * k->nb[3];
        const char * values = (const char *) v->data + group * v->nb[2] + stream / streams * v->nb[3];
        for (int row = 0; row < rows.count; row++) {
            most[row] = -INFINITY;
            sum[row] = 0.0f;
        }
        memset(all, 0, sizeof(float) * rows.count * width);
        const int64_t from = is_split ? task % blocks : 0, to = is_split ? from + 1 : blocks;
        for (int64_t number = from; number < to; number++) {
            const int first = (int) number * HEARTH_BLOCK;
            const int cells = k->ne[1] - first < HEARTH_BLOCK ? (int) k->ne[1] - first : HEARTH_BLOCK;
            hearth_attend(dst, &rows, keys, values, first, cells, &block);
            for (int row = 0; row < rows.count; row++) {
                const float * found = block.values + row * width;
                if (is_split) {
                    float * part = parts + ((unit * HEARTH_ROWS + row) * blocks + number) * stride;
                    part[0] = block.most[row];
                    part[1] = block.sum[row];
                    memcpy(part + 2, found, sizeof(float) * width);
                } else {
                    hearth_join(most + row, sum + row, all + row * width, block.most[row], block.sum[row], found, width);
                }
            }
        }
        for (int row = 0; row < rows.count && !is_split; row++) {
            const int64_t token = (first_row + row) / heads, head = group * heads + (first_row + row) % heads;
            hearth_finish(dst, token, head, stream, most[row], sum[row], all + row * width);
        }
    }
    if (!is_split) {
        return 1;
    }
    ggml_barrier(params->threadpool);
    for (int64_t number = params->ith; number < units * HEARTH_ROWS; number += params->nth) {
        const int64_t unit = number / HEARTH_ROWS;
        const int64_t group = unit / row_groups % k->ne[2], stream = unit / row_groups / k->ne[2];
        const int64_t in_group = unit % row_groups * HEARTH_ROWS + number % HEARTH_ROWS;
        if (in_group >= q->ne[1] * heads) {
            continue;
        }
        most[0] = -INFINITY;
        sum[0] = 0.0f;
        memset(all, 0, sizeof(float) * width);
        for (int64_t at = 0; at < blocks; at++) {
            const float * part = parts + (number * blocks + at) * stride;
            hearth_join(most, sum, all, part[0], part[1], part + 2, width);
        }
        hearth_finish(dst, in_group / heads, group * heads + in_group % heads, stream, most[0], sum[0], all);
    }
    return 1;
}

// Tells who loads the library that flash attention is the faster way here.
__attribute__((weak, visibility("default"))) int hearth_has_small_attention(void) {
    return 1;
}

#define ggml_compute_forward_flash_attn_ext(params, tensor) \
    (hearth_flash_attention(params, tensor) ? (void) 0 : (ggml_compute_forward_flash_attn_ext)(params, tensor))
#endif
#endif
