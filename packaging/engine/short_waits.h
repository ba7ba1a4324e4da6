// Threads that wait for each other soon sleep. Included before every C file by the option -include.
//
// Without OpenMP (Apple's compiler brings none) ggml's threads wait for each other after every operation by asking
// again and again. Beside a busy program two of three threads then hold the processors that the third needs to arrive:
// measured on 2 cores, tokens came 8 to 40 times slower than on a quiet one. Here a thread that has asked for 50
// microseconds sleeps between two questions, so that its processor is free for the one it waits for: 4 to 5 times slower
// beside a busy program, where OpenMP's threads are 3 times slower, and as fast as before on a quiet computer.
//
// ggml defines `ggml_thread_cpu_relax(void)` and calls `ggml_thread_cpu_relax()`: by what is between the parentheses
// the macro tells its definition, which gets another name, from its calls.
#if !defined(__cplusplus) && !defined(GGML_USE_OPENMP) && !defined(_WIN32)
#include <stdint.h>
#include <time.h>

enum { HEARTH_ASKING_NS = 50000, HEARTH_NEW_WAIT_NS = 5000 };

static inline void hearth_relax_void(void);

static inline uint64_t hearth_now_ns(void) {
#ifdef __APPLE__
    return clock_gettime_nsec_np(CLOCK_UPTIME_RAW);
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
#endif
}

static inline void hearth_relax_(void) {
    static _Thread_local uint64_t began_ns, asked_ns;
    const uint64_t now_ns = hearth_now_ns();
    if (now_ns - asked_ns > HEARTH_NEW_WAIT_NS) {
        began_ns = now_ns;
    }
    if (now_ns - began_ns < HEARTH_ASKING_NS) {
        hearth_relax_void();
        asked_ns = now_ns;
    } else {
        const struct timespec shortest = {0, 1};
        nanosleep(&shortest, 0);
        asked_ns = hearth_now_ns();
    }
}

#define ggml_thread_cpu_relax(nothing) hearth_relax_##nothing(nothing)
#endif
