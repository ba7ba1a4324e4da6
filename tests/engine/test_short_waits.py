"""Threads that wait for each other as ggml's do without OpenMP soon leave their processor to others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from devtools.profiles import SHORT_WAITS_HEADER

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(
        sys.platform == "win32" or not shutil.which("cc"), reason="needs a C compiler that has -include"
    ),
]

# One thread waits for another, which comes after 300 ms, in ggml's own way: a function with this name, defined and
# called like this (ggml/src/ggml-cpu/ggml-cpu.c). Prints the processor's time that waiting took, in microseconds.
PROGRAM = """
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
static inline void ggml_thread_cpu_relax(void) {
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}
static atomic_int arrived;
static void * come(void * unused) {
    const struct timespec delay = {0, 300000000};
    nanosleep(&delay, 0);
    atomic_store(&arrived, 1);
    return unused;
}
int main(void) {
    pthread_t other;
    struct timespec used;
    pthread_create(&other, 0, come, 0);
    while (!atomic_load_explicit(&arrived, memory_order_relaxed)) {
        ggml_thread_cpu_relax();
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    printf("%ld\\n", used.tv_sec * 1000000 + used.tv_nsec / 1000);
    return pthread_join(other, 0);
}
"""


def waiting_us(folder: Path, *options: str) -> int:
    """How long the program's waiting kept a processor busy."""
    source, program = folder / "wait.c", folder / "wait"
    source.write_text(PROGRAM)
    warnings = ["-Wall", "-Wextra", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Werror"]
    subprocess.run(["cc", "-O2", *warnings, *options, str(source), "-o", str(program), "-pthread"], check=True)
    return int(subprocess.check_output([program], env=os.environ))


def test_a_long_wait_leaves_the_processor_to_others(tmp_path: Path) -> None:
    included = ("-include", str(SHORT_WAITS_HEADER))
    asleep = waiting_us(tmp_path, *included)
    awake = waiting_us(tmp_path)
    with_openmp = waiting_us(tmp_path, *included, "-DGGML_USE_OPENMP")
    assert asleep < awake / 2
    assert asleep < with_openmp / 2, "OpenMP has its own way: the header leaves it alone"
