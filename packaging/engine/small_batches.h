// Small batches are computed as single tokens are. Included before every C file by the option -include.
//
// ggml takes llamafile's kernels for matrices of two columns and more. They add in another order than those for one
// column, so that a token decoded together with guesses gets other last digits than alone, and they are made for
// prompts: up to 16 columns the kernels for one are as fast or faster. Measured on AVX2 with shapes of 0.1B and 1.1B:
// a batch of 2 costs 1.3 instead of 1.9 decodes, and its logits agree with single ones bit for bit (F16; for most
// quantized formats see quantized_products.h). tests/engine/test_speculation.py looks at both.
#if !defined(__cplusplus) && defined(__has_include)
#if __has_include("llamafile/sgemm.h")
struct ggml_compute_params;
#include "llamafile/sgemm.h"
#define llamafile_sgemm(params, rows, columns, ...) \
    ((columns) > 16 && (llamafile_sgemm)(params, rows, columns, __VA_ARGS__))
#endif
#endif
