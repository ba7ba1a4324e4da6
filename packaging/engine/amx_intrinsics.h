// AMX intrinsics that say what memory they read. Included before every C++ file of a release build by the option
// -include; does nothing unless the file is compiled for a processor with AMX by GCC.
//
// GCC's own (looked at in 12.2, <amxtileintrin.h>) are inline assembly with too little said about memory. To
// _tile_loadconfig belong 64 bytes of which GCC is told 8: the rest of a configuration on the stack is never written,
// and the processor refuses what happens to lie there. _tile_loadd is told nothing, so that what was just written to
// a tile's memory may still be in a register. Clang's are built in and right.
#if defined(__cplusplus) && defined(__GNUC__) && !defined(__clang__) && defined(__AMX_TILE__)

#include <immintrin.h>

struct hearth_tile_config_bytes {
    char bytes[64];
};

static inline void hearth_tile_loadconfig(const void * config) {
    __asm__ volatile("ldtilecfg\t%0" : : "m"(*static_cast<const hearth_tile_config_bytes *>(config)) : "memory");
}

#define _tile_loadconfig(config) hearth_tile_loadconfig(config)

#define HEARTH_TILE_LOADD(tile, base, stride)                                   \
    __asm__ volatile("tileloadd\t(%0,%1,1), %%tmm" #tile                        \
                     :                                                          \
                     : "r"(static_cast<const void *>(base)), "r"((long) (stride)) \
                     : "memory")

#undef _tile_loadd
#define _tile_loadd(tile, base, stride) HEARTH_TILE_LOADD(tile, base, stride)

#endif
